// Where batches become large, and why a bit never changes: int64 sums of the gradient over the
// leaves of one step, for the blocks that this shard owns. Gate, check, add and set are one
// critical section per chunk, so a frame counts wholly or not at all, and each leaf counts once
// whatever is sent twice. Knows nothing of streams, votes or optimizers.
//
// Memory: what its GradientSums take, 8 bytes per element in host memory.
//
// Thread-safe. What reads the gradient may be called only between the Receive that said
// step_complete (or LoadGradient) and the next Open; nothing writes in between.

#ifndef DROVER_SERVER_SHARD_ACCUMULATOR_H_
#define DROVER_SERVER_SHARD_ACCUMULATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/frame.h"
#include "common/tensor/layout.h"
#include "common/tensor/leaf_set.h"
#include "server/shard/chunk_gate.h"
#include "server/shard/gradient_sums.h"
#include "server/step_shape.h"

namespace drover {

struct AccumulatorOptions {
  uint64_t job = 0;
  BlockRange owned;
  std::vector<StepShape> shapes;  // Leaves 1 to kLeavesMax; the first one of step 0.
  int fraction_bits = 0;  // F; DefaultFractionBits(largest batch) unless the job says otherwise.
};

// Why a step cannot be applied: the first gradient that was not finite or out of range.
struct Culprit {
  LeafRange leaves;
  Verdict reason = Verdict::kNonfinite;  // Or kRange.
  std::string tensor;                    // Its name, or what the worker reported.
  uint64_t element = 0;                  // Index in the tensor.
  std::string worker;

  friend bool operator==(const Culprit&, const Culprit&) = default;
};

struct ReceiveResult {
  Verdict verdict = Verdict::kNone;
  bool chunk_complete = false;  // This frame brought the last leaf of its chunk.
  bool step_complete = false;   // ... and of the last chunk: true once per step.
  bool culprit = false;         // This frame says that the step must be skipped.
  // A duplicate of the same leaves in the same encoding had another checksum: a worker does not
  // compute the same bits as before. The first one stays.
  bool nondeterministic = false;
  // That is known of a duplicate because another worker had sent the first one.
  bool audited = false;
};

struct AccumulatorCounters {
  std::array<uint64_t, kVerdictsEnd> frames = {};  // By verdict.
  uint64_t payload_bytes = 0;                      // Of stored and added frames.
  uint64_t nondeterministic = 0;
};

class Accumulator {
 public:
  // `sums`: of the layout and the owned range. kInvalidArgument when leaves, batch or fraction bits
  // are out of bounds or could overflow.
  static Result<std::unique_ptr<Accumulator>> Make(std::shared_ptr<const Layout> layout,
                                                   const AccumulatorOptions& options,
                                                   std::unique_ptr<GradientSums> sums);
  // The same with sums in host memory.
  static Result<std::unique_ptr<Accumulator>> Make(std::shared_ptr<const Layout> layout,
                                                   const AccumulatorOptions& options);
  ~Accumulator();

  // Empties everything for a new step; nothing is zeroed, the first arrival stores. Frames of other
  // steps or epochs are refused from now on.
  void Open(uint32_t epoch, uint64_t step);
  // Another epoch for the same step: keeps what is there.
  void AdoptEpoch(uint32_t epoch);
  // Back to refusing everything, after the step was applied. What was complete stays readable.
  void Close();

  // Takes a kGradient, kStats or kNonfinite frame (others are a broken promise). `worker` is only
  // for the culprit's name. Blocks while another thread adds to the same chunk.
  ReceiveResult Receive(const ReceivedFrame& frame, std::string_view worker = {});

  // Restores a complete step from its redo record: gradient of all chunks one after the other,
  // chunk_elements() each. kInvalidArgument when the length is another.
  Status LoadGradient(uint32_t epoch, uint64_t step, std::span<const float> gradient,
                      const StepStats& stats);

  const Layout& layout() const { return *layout_; }
  const AccumulatorOptions& options() const { return options_; }
  size_t chunk_count() const { return chunks_.size(); }
  BlockRange chunk_blocks(size_t chunk) const;
  uint64_t gradient_elements() const;  // Sum over all chunks.

  bool complete() const;
  // The rest: see thread rule above.
  // Mean gradient of a chunk: [SpanElements(chunk_blocks(chunk))] float32, gaps are 0.
  std::span<const float> gradient(size_t chunk) const { return sums_->mean(chunk); }
  // Of one owned block: [blocks()[block].size] float32.
  std::span<const float> block_gradient(uint32_t block) const;
  // Sum of squares of each owned block's mean gradient, in order.
  const std::vector<double>& block_squares() const { return sums_->block_squares(); }

  StepStats stats() const;
  // Leaves that every chunk and the statistics hold.
  LeafSet complete_leaves() const;
  uint32_t leaves() const;  // Of the step opened last.
  std::optional<Culprit> culprit() const;
  AccumulatorCounters counters() const;
  // Memory held for sums: what does not shrink between steps.
  size_t bytes() const { return sums_->bytes(); }

 private:
  // The gate's view of a chunk, and what its arrivals were.
  struct Chunk;

  Accumulator(std::shared_ptr<const Layout> layout, const AccumulatorOptions& options,
              std::unique_ptr<GradientSums> sums);

  // The chunk that begins at this block, or null.
  Chunk* FindChunk(uint32_t block_begin) const;
  ReceiveResult ReceiveGradient(const ReceivedFrame& frame, std::string_view worker);
  ReceiveResult ReceiveStats(const ReceivedFrame& frame, std::string_view worker);
  ReceiveResult ReceiveNonfinite(const ReceivedFrame& frame, std::string_view worker);
  Culprit MakeCulprit(const Chunk& chunk, const FrameHeader& header, Verdict reason,
                      uint64_t element, std::string_view worker) const;
  // Counts a part (chunk or statistics) that became complete in `generation`. True for the last
  // one.
  bool PartIsComplete(uint64_t generation) DROVER_EXCLUDES(mutex_);
  void KeepCulprit(uint64_t generation, Culprit culprit) DROVER_EXCLUDES(mutex_);
  void Count(const FrameHeader& header, const ReceiveResult& result) DROVER_EXCLUDES(mutex_);

  const std::shared_ptr<const Layout> layout_;
  const AccumulatorOptions options_;
  std::vector<std::unique_ptr<Chunk>> chunks_;  // In order of their blocks.
  std::unique_ptr<Chunk> statistics_;           // A chunk without blocks.
  // Each chunk's part is guarded by its lock while it fills; see the thread rule above.
  const std::unique_ptr<GradientSums> sums_;

  // Taken after, never while, a chunk's lock is held.
  mutable Mutex mutex_;
  // Grows with every Open, so that a frame of the last step cannot complete a part of this one.
  uint64_t generation_ DROVER_GUARDED_BY(mutex_) = 0;
  size_t parts_complete_ DROVER_GUARDED_BY(mutex_) = 0;
  std::optional<Culprit> culprit_ DROVER_GUARDED_BY(mutex_);
  AccumulatorCounters counters_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_ACCUMULATOR_H_
