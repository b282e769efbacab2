// The threads that compute: one lane per core, each single-threaded, so that bits do not depend on
// how many there are. Lanes take leaves of the current lease, or micro-batches of the current
// evaluation, until there are none. Start and Stop from one thread.

#ifndef DROVER_WORKER_TRAIN_LANE_POOL_H_
#define DROVER_WORKER_TRAIN_LANE_POOL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/mutex.h"
#include "common/base/thread.h"
#include "common/tensor/buffer.h"
#include "worker/train/job_setup.h"
#include "worker/train/leaf_runner.h"
#include "worker/train/lease_run.h"

namespace drover {

// One evaluation lease while it is worked on. Thread-safe.
class EvalRun {
 public:
  EvalRun(int64_t begin, int64_t end, int64_t micro_batch, std::shared_ptr<const Weights> weights)
      : end_(end), micro_batch_(micro_batch), weights_(std::move(weights)), next_(begin) {}

  const Weights& weights() const { return *weights_; }
  struct Range {
    int64_t begin;
    int64_t end;
  };
  std::optional<Range> Next();
  void Add(const StepStats& stats);
  StepStats total() const;

 private:
  const int64_t end_;
  const int64_t micro_batch_;
  const std::shared_ptr<const Weights> weights_;
  std::atomic<int64_t> next_;
  mutable Mutex mutex_;
  StepStats total_ DROVER_GUARDED_BY(mutex_);
};

class LanePool {
 public:
  // `on_idle` is called by the last lane to run out of work, after every Start.
  static Result<std::unique_ptr<LanePool>> Make(const JobSetup& setup, uint32_t lanes,
                                                std::function<void()> on_idle);
  ~LanePool();

  void Start(std::shared_ptr<LeaseRun> lease);
  void Start(std::shared_ptr<EvalRun> evaluation);

  const Layout& layout() const { return runners_.front()->layout(); }

 private:
  struct Task {
    std::shared_ptr<LeaseRun> lease;
    std::shared_ptr<EvalRun> evaluation;
    std::shared_ptr<std::atomic<uint32_t>> lanes_left;
  };

  LanePool(std::vector<std::unique_ptr<LeafRunner>> runners, std::function<void()> on_idle);
  void Start(Task task);
  void RunLane(size_t lane);
  void RunLease(LeafRunner* runner, float* gradient, LeaseRun* lease);
  void RunEvaluation(LeafRunner* runner, EvalRun* evaluation);

  const std::vector<std::unique_ptr<LeafRunner>> runners_;
  const std::function<void()> on_idle_;
  std::vector<std::unique_ptr<BoundedQueue<Task>>> queues_;  // One per lane.
  std::vector<Thread> threads_;
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_LANE_POOL_H_
