#include "worker/train/lane_pool.h"

#include <string>
#include <utility>

#include "common/tensor/buffer.h"
#include "worker/nn/lane.h"

namespace drover {

Result<std::unique_ptr<LanePool>> LanePool::Make(const JobSetup& setup,
                                                 const std::vector<LeafModelMaker>& lanes) {
  std::vector<std::unique_ptr<LeafRunner>> runners;
  for (const LeafModelMaker& lane : lanes) {
    Result<std::unique_ptr<LeafRunner>> runner = LeafRunner::Make(setup, lane);
    if (!runner.ok()) return runner.status();
    runners.push_back(std::move(runner).value());
  }
  return std::unique_ptr<LanePool>(new LanePool(std::move(runners)));
}

LanePool::LanePool(std::vector<std::unique_ptr<LeafRunner>> runners)
    : runners_(std::move(runners)) {
  for (const auto& runner : runners_) {
    threads_.emplace_back("lane-" + std::to_string(threads_.size()),
                          [this, lane = runner.get()] { RunLane(lane); });
  }
}

LanePool::~LanePool() {
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    changed_.NotifyAll();
  }
  threads_.clear();  // Joins.
}

void LanePool::Start(std::weak_ptr<LaneWork> work) {
  MutexLock lock(&mutex_);
  work_ = std::move(work);
  ++started_;
  changed_.NotifyAll();
}

bool LanePool::NextWork(uint64_t* seen, std::shared_ptr<LaneWork>* work) {
  MutexLock lock(&mutex_);
  while (started_ == *seen && !closed_) changed_.Wait(&mutex_);
  *seen = started_;
  *work = work_.lock();
  return !closed_;
}

void LanePool::RunLane(LeafRunner* runner) {
  PinLaneToOneThread();
  FloatBuffer buffer(layout().SpanElements(layout().all_blocks()));
  uint64_t seen = 0;
  std::shared_ptr<LaneWork> work;
  while (NextWork(&seen, &work)) {
    if (work != nullptr) work->RunOn(runner, buffer.data());
    work.reset();
  }
}

}  // namespace drover
