#include "worker/train/lane_pool.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/logging.h"
#include "worker/nn/lane.h"

namespace drover {
namespace {

constexpr size_t kTasksMax = 16;  // Void leases that lanes have still to put aside.

}  // namespace

std::optional<EvalRun::Range> EvalRun::Next() {
  const int64_t begin = next_.fetch_add(micro_batch_);
  if (begin >= end_) return std::nullopt;
  return Range{begin, std::min(begin + micro_batch_, end_)};
}

void EvalRun::Add(const StepStats& stats) {
  MutexLock lock(&mutex_);
  total_.loss += stats.loss;
  total_.correct += stats.correct;
  total_.samples += stats.samples;
}

StepStats EvalRun::total() const {
  MutexLock lock(&mutex_);
  return total_;
}

Result<std::unique_ptr<LanePool>> LanePool::Make(const JobSetup& setup, uint32_t lanes,
                                                 std::function<void()> on_idle) {
  std::vector<std::unique_ptr<LeafRunner>> runners;
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    Result<std::unique_ptr<LeafRunner>> runner = LeafRunner::Make(setup);
    if (!runner.ok()) return runner.status();
    runners.push_back(std::move(runner).value());
  }
  return std::unique_ptr<LanePool>(new LanePool(std::move(runners), std::move(on_idle)));
}

LanePool::LanePool(std::vector<std::unique_ptr<LeafRunner>> runners, std::function<void()> on_idle)
    : runners_(std::move(runners)), on_idle_(std::move(on_idle)) {
  for (size_t lane = 0; lane < runners_.size(); ++lane) {
    queues_.push_back(std::make_unique<BoundedQueue<Task>>(kTasksMax));
  }
  for (size_t lane = 0; lane < runners_.size(); ++lane) {
    threads_.emplace_back("lane-" + std::to_string(lane), [this, lane] { RunLane(lane); });
  }
}

LanePool::~LanePool() {
  for (auto& queue : queues_) queue->Close();
}

void LanePool::Start(std::shared_ptr<LeaseRun> lease) { Start(Task{std::move(lease), {}, {}}); }

void LanePool::Start(std::shared_ptr<EvalRun> evaluation) {
  Start(Task{{}, std::move(evaluation), {}});
}

void LanePool::Start(Task task) {
  task.lanes_left = std::make_shared<std::atomic<uint32_t>>(static_cast<uint32_t>(queues_.size()));
  for (auto& queue : queues_) queue->Push(task);
}

void LanePool::RunLane(size_t lane) {
  PinLaneToOneThread();
  const Layout& space = layout();
  FloatBuffer gradient(space.SpanElements(space.all_blocks()));
  while (std::optional<Task> task = queues_[lane]->Pop()) {
    if (task->lease != nullptr) {
      RunLease(runners_[lane].get(), gradient.data(), task->lease.get());
    } else {
      RunEvaluation(runners_[lane].get(), task->evaluation.get());
    }
    if (task->lanes_left->fetch_sub(1) == 1) on_idle_();
  }
}

void LanePool::RunLease(LeafRunner* runner, float* lane_buffer, LeaseRun* lease) {
  while (const std::optional<uint32_t> leaf = lease->NextLeaf()) {
    float* gradient = lease->LeafBuffer(lane_buffer);
    const Result<StepStats> stats = runner->RunLeaf(
        lease->order().step, *leaf, lease->weights().values.data(), gradient,
        [&](size_t tensor) { lease->TensorFinal(*leaf, tensor, gradient); }, lease->cancelled());
    if (stats.ok()) {
      lease->LeafFinal(stats.value());
    } else if (stats.status().code() != Code::kCancelled) {
      lease->LeafFailed({*leaf, "(all)", stats.status().ToString()});
    }
  }
}

void LanePool::RunEvaluation(LeafRunner* runner, EvalRun* evaluation) {
  while (const std::optional<EvalRun::Range> range = evaluation->Next()) {
    const Result<StepStats> stats =
        runner->Evaluate(range->begin, range->end, evaluation->weights().values.data());
    // The missing samples show at the coordinator, which counts them.
    if (!stats.ok()) {
      LogError("evaluation of samples [{}, {}): {}", range->begin, range->end,
               stats.status().ToString());
      continue;
    }
    evaluation->Add(stats.value());
  }
}

}  // namespace drover
