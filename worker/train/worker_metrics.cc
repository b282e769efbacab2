#include "worker/train/worker_metrics.h"

#include <fmt/format.h>

namespace drover {

WorkerMetrics::WorkerMetrics(MetricRegistry* registry, const std::string& worker)
    : registry_(registry), worker_(worker) {}

void WorkerMetrics::SetJob(uint64_t job) {
  ClearJob();
  train_job_ = fmt::format("{:016x}", job);
  registry_->AddJob(train_job_, {{"worker", worker_}});
  samples_ = registry_->CounterOf(Metric::kWorkerSamplesTotal, {train_job_, worker_});
  const auto wire = [this](const char* direction, const char* kind, const char* encoding) {
    return registry_->CounterOf(Metric::kWireBytesTotal, {train_job_, direction, kind, encoding});
  };
  gradient_payload_ =
      registry_->CounterOf(Metric::kPayloadBytesTotal, {train_job_, "sent", "gradient"});
  gradient_wire_f32_ = wire("sent", "gradient", "f32");
  gradient_wire_i64_ = wire("sent", "gradient", "i64");
  weight_payload_ =
      registry_->CounterOf(Metric::kPayloadBytesTotal, {train_job_, "received", "weight"});
  weight_wire_ = wire("received", "weight", "f32");
  push_ = registry_->HistogramOf(Metric::kWorkerPhaseDurationSeconds, {train_job_, "push"});
  idle_ = registry_->HistogramOf(Metric::kWorkerPhaseDurationSeconds, {train_job_, "idle"});
}

void WorkerMetrics::ClearJob() {
  if (!train_job_.empty()) registry_->RemoveJob(train_job_);
  train_job_.clear();
}

void WorkerMetrics::CountLease(int64_t samples, uint64_t elements, bool single_leaf) {
  samples_.Increment(static_cast<double>(samples));
  gradient_payload_.Increment(4.0 * static_cast<double>(elements));
  if (single_leaf) {
    gradient_wire_f32_.Increment(4.0 * static_cast<double>(elements));
  } else {
    gradient_wire_i64_.Increment(8.0 * static_cast<double>(elements));
  }
}

void WorkerMetrics::CountWeights(uint64_t elements) {
  weight_payload_.Increment(4.0 * static_cast<double>(elements));
  weight_wire_.Increment(4.0 * static_cast<double>(elements));
}

void WorkerMetrics::ObservePush(Duration duration) { push_.Observe(Seconds(duration)); }

void WorkerMetrics::ObserveIdle(Duration duration) { idle_.Observe(Seconds(duration)); }

}  // namespace drover
