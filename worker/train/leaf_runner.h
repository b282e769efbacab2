// One lane: computes leaves of one job, micro-batch by micro-batch in order, into one float32 sum.
// gradient(step, leaf) is a pure function of the weights, whichever lane computes it. On which
// device is the model's matter (leaf_model.h). Owned and used by one lane thread.

#ifndef DROVER_WORKER_TRAIN_LEAF_RUNNER_H_
#define DROVER_WORKER_TRAIN_LEAF_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/rpc/frame_header.h"
#include "worker/nn/leaf_model.h"
#include "worker/train/job_setup.h"

namespace drover {

// Where the time of one leaf went.
struct LeafTimes {
  Duration data{0};      // Reading samples: the lane waits.
  Duration forward{0};   // 0 where the device queues both passes.
  Duration backward{0};  // Without what follows.
  Duration reduce{0};    // In on_final: checking and adding, less `encode`.
  Duration encode{0};    // In on_final: making frames. LeafRunner does not know it.
};

// Sums over samples, and over masked tokens for models that predict them. Losses in units of 2^-20,
// each micro-batch rounded once.
struct EvalStats {
  int64_t loss = 0;
  int64_t correct = 0;
  int64_t samples = 0;
  int64_t masked_loss = 0;
  int64_t masked_tokens = 0;
  int64_t masked_correct = 0;

  friend bool operator==(const EvalStats&, const EvalStats&) = default;
};

class LeafRunner {
 public:
  static Result<std::unique_ptr<LeafRunner>> Make(const JobSetup& setup,
                                                  LeafModelMaker make_model = MakeCpuLeafModel);

  // Sums the leaf's gradient into `gradient` (the parameter space; gaps are not touched). Calls
  // `on_final(tensor)` during the last micro-batch, last layer first, when that tensor's sum is
  // whole. Stops early, with kCancelled, when `cancelled` becomes true; other errors mean that this
  // worker cannot compute the job. `times` may be null.
  Result<StepStats> RunLeaf(int64_t step, uint32_t leaf, WeightsView weights, float* gradient,
                            const std::function<void(size_t tensor)>& on_final,
                            const std::atomic<bool>& cancelled, LeafTimes* times = nullptr);

  // Whether AddLeaf may be called.
  bool adds_leaves() const { return adds_leaves_; }
  // As RunLeaf, for devices that add leaves up by themselves: see LeafSums.
  struct Added {
    StepStats stats;
    std::optional<BadElement> bad;
  };
  Result<Added> AddLeaf(int64_t step, uint32_t leaf, WeightsView weights, LeafSums sums,
                        const std::atomic<bool>& cancelled, LeafTimes* times = nullptr);

  // Loss and correct answers of version `version` on test samples [begin, end), at most one
  // micro-batch of its phase.
  Result<EvalStats> Evaluate(int64_t version, int64_t begin, int64_t end, WeightsView weights);

  const Layout& layout() const { return layout_; }

 private:
  LeafRunner(const JobSetup& setup, LeafModelMaker make_model, std::unique_ptr<LeafModel> model);

  // A phase with another micro-batch or network needs a model with other buffers; its layout is the
  // same. `network` is one of setup_.
  Status UseModel(const NetworkSpec& network, int64_t micro_batch);

  // What RunLeaf and AddLeaf have in common. Times `work`'s callbacks.
  Result<Added> Run(int64_t step, uint32_t leaf, LeafWork work, const std::atomic<bool>& cancelled,
                    LeafTimes* times);

  // `samples` samples, the first one dataset index indices_[begin] at position `position`. What is
  // returned is valid until the next call.
  Batch Read(const Dataset& dataset, size_t begin, size_t samples, uint64_t position);

  const JobSetup setup_;
  const LeafModelMaker make_model_;
  const Layout layout_;
  const bool adds_leaves_;
  std::unique_ptr<LeafModel> model_;  // What was used last,
  const NetworkSpec* network_;        // which has this network.
  std::vector<uint64_t> indices_;     // Of the leaf.
  std::vector<uint64_t> positions_;   // Of the micro-batch, as the dataset and the model take them.
  std::vector<SampleRef> refs_;
  SampleBuffers samples_;
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_LEAF_RUNNER_H_
