// The threads that compute: one lane per core, each single-threaded, or one per GPU, so that bits
// do not depend on how many there are. All lanes share one piece of work at a time, a lease or an
// evaluation, and take parts of it until there are none. Thread-safe.

#ifndef DROVER_WORKER_TRAIN_LANE_POOL_H_
#define DROVER_WORKER_TRAIN_LANE_POOL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "common/tensor/layout.h"
#include "worker/train/job_setup.h"
#include "worker/train/leaf_runner.h"

namespace drover {

class LaneWork {
 public:
  virtual ~LaneWork() = default;
  // Takes parts until there are none, or the work is void. Called by every lane, side by side.
  // `lane_buffer`: [SpanElements(all_blocks())] float32 of this lane.
  virtual void RunOn(LeafRunner* runner, float* lane_buffer) = 0;
};

class LanePool {
 public:
  static Result<std::unique_ptr<LanePool>> Make(const JobSetup& setup,
                                                const std::vector<LeafModelMaker>& lanes);
  // Waits for lanes that are at work: cancel it before.
  ~LanePool();
  LanePool(const LanePool&) = delete;
  LanePool& operator=(const LanePool&) = delete;

  // Never blocks. Replaces earlier work that lanes have not begun; what they are at they finish.
  // The caller keeps `work`: lanes do not begin what nobody holds any more.
  void Start(std::weak_ptr<LaneWork> work) DROVER_EXCLUDES(mutex_);

  const Layout& layout() const { return runners_.front()->layout(); }

 private:
  explicit LanePool(std::vector<std::unique_ptr<LeafRunner>> runners);
  void RunLane(LeafRunner* runner);
  // Waits for work after the `*seen`-th. False when the pool ends.
  bool NextWork(uint64_t* seen, std::shared_ptr<LaneWork>* work) DROVER_EXCLUDES(mutex_);

  const std::vector<std::unique_ptr<LeafRunner>> runners_;

  Mutex mutex_;
  CondVar changed_;
  std::weak_ptr<LaneWork> work_ DROVER_GUARDED_BY(mutex_);
  uint64_t started_ DROVER_GUARDED_BY(mutex_) = 0;  // How often Start was called.
  bool closed_ DROVER_GUARDED_BY(mutex_) = false;

  std::vector<Thread> threads_;
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_LANE_POOL_H_
