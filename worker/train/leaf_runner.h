// One lane: computes leaves of one job, micro-batch by micro-batch in order, into one float32 sum.
// gradient(step, leaf) is a pure function of the weights, whichever lane computes it. Owned and
// used by one lane thread.

#ifndef DROVER_WORKER_TRAIN_LEAF_RUNNER_H_
#define DROVER_WORKER_TRAIN_LEAF_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/rpc/frame_header.h"
#include "worker/nn/model.h"
#include "worker/train/job_setup.h"

namespace drover {

// Where the time of one leaf went.
struct LeafTimes {
  Duration data{0};  // Reading samples: the lane waits.
  Duration forward{0};
  Duration backward{0};  // Without what follows.
  Duration encode{0};    // In on_final.
};

class LeafRunner {
 public:
  static Result<std::unique_ptr<LeafRunner>> Make(const JobSetup& setup);

  // Sums the leaf's gradient into `gradient` (the parameter space; gaps are not touched). Calls
  // `on_final(tensor)` during the last micro-batch, last layer first, when that tensor's sum is
  // whole. Stops early, with kCancelled, when `cancelled` becomes true; other errors mean that this
  // worker cannot compute the job. `times` may be null.
  Result<StepStats> RunLeaf(int64_t step, uint32_t leaf, const float* weights, float* gradient,
                            const std::function<void(size_t tensor)>& on_final,
                            const std::atomic<bool>& cancelled, LeafTimes* times = nullptr);

  // Loss and correct answers on test samples [begin, end), at most one micro-batch.
  Result<StepStats> Evaluate(int64_t begin, int64_t end, const float* weights);

  const Layout& layout() const { return model_->layout(); }

 private:
  LeafRunner(const JobSetup& setup, std::unique_ptr<Model> model);

  const JobSetup setup_;
  const std::unique_ptr<Model> model_;
  std::vector<uint64_t> indices_;
  std::vector<float> inputs_;    // [micro_batch, input_size]
  std::vector<int32_t> labels_;  // [micro_batch]
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_LEAF_RUNNER_H_
