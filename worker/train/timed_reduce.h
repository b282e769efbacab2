// A HostReduce whose collectives are timed for /metrics. Thread-safe as the one that it wraps.

#ifndef DROVER_WORKER_TRAIN_TIMED_REDUCE_H_
#define DROVER_WORKER_TRAIN_TIMED_REDUCE_H_

#include <memory>
#include <utility>

#include "common/base/clock.h"
#include "worker/comm/host_reduce.h"
#include "worker/train/worker_metrics.h"

namespace drover {

class TimedReduce : public HostReduce {
 public:
  // `metrics` is not null and outlives this. Failed collectives are not counted.
  TimedReduce(std::shared_ptr<HostReduce> reduce, WorkerMetrics* metrics)
      : reduce_(std::move(reduce)), metrics_(metrics) {}

  const ReduceSegments& segments() const override { return reduce_->segments(); }
  uint64_t Begin() override { return reduce_->Begin(); }
  Status Deposit(uint64_t lease, size_t segment, const GpuStream& stream,
                 const int64_t* sums) override {
    return reduce_->Deposit(lease, segment, stream, sums);
  }
  Status Finish(uint64_t lease, size_t segment, int64_t* space) override {
    const Instant begin = Clock::Real().Now();
    const Status status = reduce_->Finish(lease, segment, space);
    if (status.ok()) metrics_->ObserveReduceScatter(Clock::Real().Now() - begin);
    return status;
  }
  Status Gather(std::span<const Share> shares) override {
    const Instant begin = Clock::Real().Now();
    const Status status = reduce_->Gather(shares);
    if (status.ok()) metrics_->ObserveAllGather(Clock::Real().Now() - begin);
    return status;
  }

 private:
  const std::shared_ptr<HostReduce> reduce_;
  WorkerMetrics* const metrics_;
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_TIMED_REDUCE_H_
