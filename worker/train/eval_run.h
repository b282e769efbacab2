// One evaluation lease while it is worked on: lanes take micro-batches of the test samples and add
// up what they find. Thread-safe.

#ifndef DROVER_WORKER_TRAIN_EVAL_RUN_H_
#define DROVER_WORKER_TRAIN_EVAL_RUN_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/mutex.h"
#include "common/rpc/frame_header.h"
#include "proto/drover/v1/worker.pb.h"
#include "worker/comm/weights_inbox.h"
#include "worker/train/lane_pool.h"

namespace drover {

class EvalRun : public LaneWork {
 public:
  // `order`: a range of test samples that is not empty. `on_change` is told when it is done or
  // broken, on a lane; must not block.
  EvalRun(const v1::EvalLease& order, int64_t micro_batch, std::shared_ptr<const Weights> weights,
          std::function<void()> on_change);

  const v1::EvalLease& order() const { return order_; }
  void RunOn(LeafRunner* runner, float* lane_buffer) override;
  void Cancel() { cancelled_.store(true); }

  bool done() const;           // Every sample is counted.
  EvalStats total() const;     // So far.
  std::string broken() const;  // Why this worker cannot do it, or empty.

 private:
  void Add(const EvalStats& stats);
  void Break(const std::string& why);

  const v1::EvalLease order_;
  const int64_t micro_batch_;
  const std::shared_ptr<const Weights> weights_;
  const std::function<void()> on_change_;
  std::atomic<bool> cancelled_{false};
  std::atomic<int64_t> next_;  // First sample that no lane has taken.

  mutable Mutex mutex_;
  EvalStats total_ DROVER_GUARDED_BY(mutex_);
  std::string broken_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_EVAL_RUN_H_
