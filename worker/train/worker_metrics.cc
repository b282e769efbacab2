#include "worker/train/worker_metrics.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace drover {

WorkerMetrics::WorkerMetrics(MetricRegistry* registry, std::string worker)

    : registry_(registry),
      worker_(std::move(worker)),
      link_retries_(registry->CounterOf(Metric::kRpcRetriesTotal, {"Exchange"})),
      session_retries_(registry->CounterOf(Metric::kRpcRetriesTotal, {"Session"})) {
  registry->OnRender([this] { ReadMemory(); });
}

void WorkerMetrics::SetDevice(const std::string& kind, double peak_flops,
                              std::function<std::vector<DeviceMemory>()> read_memory) {
  if (peak_flops > 0) {
    registry_->GaugeOf(Metric::kWorkerPeakFlops, {train_job_, worker_, kind}).Set(peak_flops);
  }
  if (!read_memory) return;
  MutexLock lock(&mutex_);
  read_memory_ = std::move(read_memory);
}

void WorkerMetrics::ReadMemory() {
  std::function<std::vector<DeviceMemory>()> read;
  {
    MutexLock lock(&mutex_);
    read = read_memory_;
  }
  if (!read) return;
  for (const DeviceMemory& memory : read()) {
    const auto set = [&](const char* kind, int64_t bytes) {
      registry_->GaugeOf(Metric::kDeviceMemoryBytes, {memory.device, kind})
          .Set(static_cast<double>(bytes));
    };
    set("used", memory.used);
    set("reserved", memory.reserved);
    set("total", memory.total);
  }
}

void WorkerMetrics::SetJob(uint64_t job, uint32_t lanes) {
  ClearJob();
  train_job_ = fmt::format("{:016x}", job);
  lanes_ = lanes;
  registry_->AddJob(train_job_, {{"worker", worker_}});
  const std::vector<std::string> both = {train_job_, worker_};
  figures_.samples = registry_->CounterOf(Metric::kWorkerSamplesTotal, both);
  figures_.flops = registry_->CounterOf(Metric::kWorkerModelFlopsTotal, both);
  figures_.data_stall = registry_->CounterOf(Metric::kWorkerDataStallSecondsTotal, both);
  const auto phase = [this](const char* name) {
    return registry_->HistogramOf(Metric::kWorkerPhaseDurationSeconds, {train_job_, name});
  };
  figures_.data = phase("data");
  figures_.forward = phase("forward");
  figures_.backward = phase("backward");
  figures_.reduce = phase("reduce");
  figures_.encode = phase("encode");
  figures_.push = phase("push");
  figures_.pull = phase("pull");
  figures_.idle = phase("idle");
  const auto collective = [this](const char* operation) {
    return registry_->HistogramOf(Metric::kCollectiveDurationSeconds, {train_job_, operation});
  };
  figures_.reduce_scatter = collective("reduce_scatter");
  figures_.all_gather = collective("all_gather");
  figures_.gradient_payload =
      registry_->CounterOf(Metric::kPayloadBytesTotal, {train_job_, "sent", "gradient"});
  figures_.weight_payload =
      registry_->CounterOf(Metric::kPayloadBytesTotal, {train_job_, "received", "weight"});
  const auto wire = [this](const char* direction, const char* kind, const char* encoding) {
    return registry_->CounterOf(Metric::kWireBytesTotal, {train_job_, direction, kind, encoding});
  };
  figures_.gradient_wire_f32 = wire("sent", "gradient", "f32");
  figures_.gradient_wire_i64 = wire("sent", "gradient", "i64");
  figures_.weight_wire_f32 = wire("received", "weight", "f32");
  figures_.weight_wire_bf16 = wire("received", "weight", "bf16");
}

void WorkerMetrics::ClearJob() {
  if (train_job_.empty()) return;
  figures_ = Figures();
  registry_->RemoveJob(train_job_);
  train_job_.clear();
}

void WorkerMetrics::CountLeaf(int64_t samples, double sample_flops, const LeafTimes& times) {
  figures_.samples.Increment(static_cast<double>(samples));
  figures_.flops.Increment(static_cast<double>(samples) * sample_flops);
  figures_.data_stall.Increment(Seconds(times.data) / lanes_);
  figures_.data.Observe(Seconds(times.data));
  figures_.forward.Observe(Seconds(times.forward));
  figures_.backward.Observe(Seconds(times.backward));
  figures_.reduce.Observe(Seconds(times.reduce));
  figures_.encode.Observe(Seconds(times.encode));
}

void WorkerMetrics::CountSent(const FrameHeader& header) {
  if (header.type != FrameType::kGradient) return;
  const double bytes = header.payload_bytes;
  const bool sums = header.encoding == FrameEncoding::kI64;
  (sums ? figures_.gradient_wire_i64 : figures_.gradient_wire_f32).Increment(bytes);
  figures_.gradient_payload.Increment(sums ? bytes / 2 : bytes);
}

void WorkerMetrics::CountReceived(const FrameHeader& header) {
  if (header.type != FrameType::kWeights) return;
  const double bytes = header.payload_bytes;
  const bool rounded = header.encoding == FrameEncoding::kBf16;
  (rounded ? figures_.weight_wire_bf16 : figures_.weight_wire_f32).Increment(bytes);
  figures_.weight_payload.Increment(rounded ? 2 * bytes : bytes);
}

}  // namespace drover
