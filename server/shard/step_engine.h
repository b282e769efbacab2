// Weights and optimizer state of the blocks that one shard owns, version after version: measure
// reads, apply writes the next version, with the arithmetic of WeightArrays. Knows nothing of
// votes, files or streams. Not thread-safe: the step thread owns it. The versions it hands out are
// immutable, for any thread.

#ifndef DROVER_SERVER_SHARD_STEP_ENGINE_H_
#define DROVER_SERVER_SHARD_STEP_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/tensor/buffer.h"
#include "common/tensor/layout.h"
#include "server/optim/rule_state.h"
#include "server/shard/accumulator.h"
#include "server/shard/range_threads.h"
#include "server/shard/versions.h"
#include "server/shard/weight_arrays.h"
#include "server/step_messages.h"

namespace drover {

class StepEngine {
 public:
  // `threads` at least 1, for what is published. `publish_bf16`: versions also hold what workers of
  // that precision pull. `arrays`: of the layout, range and rule. There are no weights before
  // Begin.
  StepEngine(std::shared_ptr<const Layout> layout, BlockRange owned, RuleState rule, int threads,
             bool publish_bf16, std::unique_ptr<WeightArrays> arrays);

  const Layout& layout() const { return *layout_; }
  BlockRange owned() const { return owned_; }
  uint64_t elements() const { return elements_; }  // Of the owned span, gaps included.

  // ---- Starting point. Fill the arrays (weights, then slots; elements() float32 each, gaps 0),
  // then Begin. May be repeated; what an attempt before left in them is still there.
  std::vector<float*> ArraysToFill();
  // The job's initial weights and zero slots into ArraysToFill().
  void FillFromSeed(uint64_t seed);
  void Begin(int64_t version, int64_t applied);

  // ---- The version held. Null before Begin.
  const std::shared_ptr<const Version>& current() const { return current_; }
  int64_t version() const { return current_->number; }
  int64_t applied() const { return applied_; }  // Updates before this version.
  // Weights and state as they are now, for snapshots; valid until the next step.
  std::vector<const float*> arrays() const;

  // kInvalidArgument unless there is a group for each tensor and, `with_scales`, a scale; and no
  // Lookahead without slow weights.
  Status Check(const UpdateNumbers& numbers, bool with_scales) const;

  // ---- One step. `numbers` passed Check; `accumulator` holds the complete gradient.
  MeasuredSquares Measure(const UpdateNumbers& numbers, const Accumulator& accumulator);

  // A buffer for the next version, waiting at most `timeout` until readers let one go. False when
  // the time is up. Stays reserved until Apply.
  bool ReserveNext(Duration timeout);
  // The same at once, with more memory when all buffers are read.
  void ReserveNextExtra();
  // Writes slots, slow weights and the reserved buffer, which becomes the current version. Old
  // versions live as long as their references.
  void Apply(const UpdateNumbers& numbers, const Accumulator& accumulator);
  // The same weights under the next number; no state is touched.
  void Skip();

  // Memory for weights and slots.
  size_t bytes() const;

 private:
  uint64_t OffsetOf(uint32_t block) const;  // Into the arrays.
  void MakeCurrent(int64_t version, std::shared_ptr<const FloatBuffer> weights);

  const std::shared_ptr<const Layout> layout_;
  const BlockRange owned_;
  const RuleState rule_;
  const bool publish_bf16_;
  const uint64_t elements_;
  const std::vector<BlockRange> chunks_;
  const RangeThreads threads_;
  const std::unique_ptr<WeightArrays> arrays_;
  WeightBuffers buffers_;
  std::shared_ptr<FloatBuffer> next_;
  std::shared_ptr<const Version> current_;
  int64_t applied_ = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_STEP_ENGINE_H_
