#include "worker/train/eval_run.h"

#include <algorithm>
#include <utility>

namespace drover {

EvalRun::EvalRun(const v1::EvalLease& order, int64_t micro_batch,
                 std::shared_ptr<const Weights> weights, std::function<void()> on_change)
    : order_(order),
      micro_batch_(micro_batch),
      weights_(std::move(weights)),
      on_change_(std::move(on_change)),
      next_(order.sample_begin()) {}

void EvalRun::RunOn(LeafRunner* runner, float* /*lane_buffer*/) {
  while (!cancelled_.load()) {
    const int64_t begin = next_.fetch_add(micro_batch_);
    if (begin >= order_.sample_end()) return;
    const int64_t end = std::min(begin + micro_batch_, order_.sample_end());
    const Result<EvalStats> stats =
        runner->Evaluate(order_.version(), begin, end, weights_->view());
    if (!stats.ok()) return Break(stats.status().ToString());
    Add(stats.value());
  }
}

void EvalRun::Add(const EvalStats& stats) {
  {
    MutexLock lock(&mutex_);
    total_.loss += stats.loss;
    total_.correct += stats.correct;
    total_.samples += stats.samples;
    total_.masked_loss += stats.masked_loss;
    total_.masked_tokens += stats.masked_tokens;
    total_.masked_correct += stats.masked_correct;
  }
  if (done()) on_change_();
}

void EvalRun::Break(const std::string& why) {
  Cancel();
  {
    MutexLock lock(&mutex_);
    broken_ = why;
  }
  on_change_();
}

bool EvalRun::done() const {
  MutexLock lock(&mutex_);
  return total_.samples == order_.sample_end() - order_.sample_begin();
}

EvalStats EvalRun::total() const {
  MutexLock lock(&mutex_);
  return total_;
}

std::string EvalRun::broken() const {
  MutexLock lock(&mutex_);
  return broken_;
}

}  // namespace drover
