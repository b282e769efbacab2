#include "server/shard/shard_metrics.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <utility>
#include <vector>

namespace drover {
namespace {

// Label values of `reason`; an encoding that does not fit is a layout that does not fit.
constexpr std::array kReasons = {
    std::pair(Verdict::kEpoch, "epoch"),       std::pair(Verdict::kStep, "step"),
    std::pair(Verdict::kLease, "lease"),       std::pair(Verdict::kLayout, "layout"),
    std::pair(Verdict::kEncoding, "layout"),   std::pair(Verdict::kLength, "length"),
    std::pair(Verdict::kChecksum, "checksum"), std::pair(Verdict::kNonfinite, "nonfinite"),
    std::pair(Verdict::kRange, "range"),       std::pair(Verdict::kOverlap, "overlap"),
};

}  // namespace

// Handles of one job. Those that were never looked up do nothing.
struct ShardMetrics::JobFigures {
  std::string train_job;
  Counter first;
  Counter added;
  Counter duplicates;
  Counter audits_equal;
  Counter audits_different;
  std::array<Counter, kVerdictsEnd> refused;
  Counter redo_bytes;
  Histogram redo_duration;
  Histogram accumulate_duration;
  Histogram publish_duration;
  Gauge pending_chunks;
  Gauge pending_bytes;
  Gauge fill_ratio;
  Gauge version;
  Gauge state_bytes;
  Counter gradient_payload;
  Counter weight_payload;
  Counter gradient_wire_f32;
  Counter gradient_wire_i64;
  Counter weight_wire_f32;
  Counter weight_wire_bf16;

  std::atomic<uint64_t> leaf_chunks = 0;  // Of the open step.
  std::atomic<uint64_t> filled = 0;
};

ShardMetrics::Pending::Pending(std::shared_ptr<JobFigures> figures, double bytes)
    : figures_(std::move(figures)), bytes_(bytes) {
  figures_->pending_chunks.Add(1);
  figures_->pending_bytes.Add(bytes_);
}

ShardMetrics::Pending::~Pending() {
  figures_->pending_chunks.Add(-1);
  figures_->pending_bytes.Add(-bytes_);
}

ShardMetrics::Pending ShardMetrics::ChunkArrives(const FrameHeader& header) {
  return Pending(Figures(), header.payload_bytes);
}

ShardMetrics::ShardMetrics(MetricRegistry* registry, const std::string& device)
    : registry_(registry),
      device_(device),
      measure_duration_(
          registry->HistogramOf(Metric::kOptimizerKernelDurationSeconds, {"measure", device})),
      apply_duration_(
          registry->HistogramOf(Metric::kOptimizerKernelDurationSeconds, {"apply", device})),
      figures_(std::make_shared<JobFigures>()) {}

ShardMetrics::~ShardMetrics() = default;

void ShardMetrics::SetJob(uint64_t job, uint32_t shard_index, uint64_t parameters) {
  const std::string train_job = fmt::format("{:016x}", job);
  const std::string shard = std::to_string(shard_index);
  if (const std::string before = Figures()->train_job; !before.empty() && before != train_job) {
    registry_->RemoveJob(before);
  }
  registry_->AddJob(train_job, {{"shard", shard}});
  const std::vector<std::string> both = {train_job, shard};
  auto figures = std::make_shared<JobFigures>();
  figures->train_job = train_job;
  figures->first = registry_->CounterOf(Metric::kChunksTotal, {train_job, shard, "first"});
  figures->added = registry_->CounterOf(Metric::kChunksTotal, {train_job, shard, "add"});
  figures->duplicates = registry_->CounterOf(Metric::kDuplicateChunksTotal, both);
  for (const auto& [verdict, reason] : kReasons) {
    figures->refused[static_cast<size_t>(verdict)] =
        registry_->CounterOf(Metric::kRefusedChunksTotal, {train_job, shard, reason});
  }
  figures->audits_equal =
      registry_->CounterOf(Metric::kLeafAuditsTotal, {train_job, shard, "equal"});
  figures->audits_different =
      registry_->CounterOf(Metric::kLeafAuditsTotal, {train_job, shard, "different"});
  figures->redo_bytes = registry_->CounterOf(Metric::kRedoBytesTotal, both);
  figures->redo_duration = registry_->HistogramOf(Metric::kRedoWriteDurationSeconds, both);
  figures->accumulate_duration =
      registry_->HistogramOf(Metric::kShardAccumulateDurationSeconds, both);
  figures->publish_duration = registry_->HistogramOf(Metric::kShardPublishDurationSeconds, both);
  figures->pending_chunks = registry_->GaugeOf(Metric::kShardPendingChunks, both);
  figures->pending_bytes = registry_->GaugeOf(Metric::kShardPendingBytes, both);
  figures->fill_ratio = registry_->GaugeOf(Metric::kShardFillRatio, both);
  figures->version = registry_->GaugeOf(Metric::kShardVersion, both);
  figures->state_bytes =
      registry_->GaugeOf(Metric::kOptimizerStateBytes, {train_job, shard, device_});
  figures->gradient_payload =
      registry_->CounterOf(Metric::kPayloadBytesTotal, {train_job, "received", "gradient"});
  figures->weight_payload =
      registry_->CounterOf(Metric::kPayloadBytesTotal, {train_job, "sent", "weight"});
  figures->gradient_wire_f32 =
      registry_->CounterOf(Metric::kWireBytesTotal, {train_job, "received", "gradient", "f32"});
  figures->gradient_wire_i64 =
      registry_->CounterOf(Metric::kWireBytesTotal, {train_job, "received", "gradient", "i64"});
  figures->weight_wire_f32 =
      registry_->CounterOf(Metric::kWireBytesTotal, {train_job, "sent", "weight", "f32"});
  figures->weight_wire_bf16 =
      registry_->CounterOf(Metric::kWireBytesTotal, {train_job, "sent", "weight", "bf16"});
  registry_->GaugeOf(Metric::kShardParameters, both).Set(static_cast<double>(parameters));
  Swap(std::move(figures));
}

void ShardMetrics::ClearJob() {
  const std::string train_job = Figures()->train_job;
  if (train_job.empty()) return;
  Swap(std::make_shared<JobFigures>());
  registry_->RemoveJob(train_job);
}

void ShardMetrics::OpenStep(uint64_t leaf_chunks) {
  const std::shared_ptr<JobFigures> figures = Figures();
  figures->leaf_chunks = leaf_chunks;
  figures->filled = 0;
  figures->fill_ratio.Set(leaf_chunks == 0 ? 1.0 : 0.0);
}

void ShardMetrics::SetVersion(int64_t version) {
  Figures()->version.Set(static_cast<double>(version));
}

void ShardMetrics::SetStateBytes(size_t bytes) {
  Figures()->state_bytes.Set(static_cast<double>(bytes));
}

void ShardMetrics::CountGradient(const FrameHeader& header, Verdict verdict, Duration duration) {
  const std::shared_ptr<JobFigures> figures = Figures();
  const double bytes = header.payload_bytes;
  if (header.encoding == FrameEncoding::kI64) {
    figures->gradient_wire_i64.Increment(bytes);
    figures->gradient_payload.Increment(bytes / 2);
  } else {
    figures->gradient_wire_f32.Increment(bytes);
    figures->gradient_payload.Increment(bytes);
  }
  if (verdict == Verdict::kDuplicate) return figures->duplicates.Increment();
  if (IsRefusal(verdict)) return figures->refused[static_cast<size_t>(verdict)].Increment();
  (verdict == Verdict::kStored ? figures->first : figures->added).Increment();
  figures->accumulate_duration.Observe(Seconds(duration));
  const uint64_t filled = figures->filled += header.leaves().size();
  const uint64_t wanted = figures->leaf_chunks;
  if (wanted > 0) {
    figures->fill_ratio.Set(static_cast<double>(filled) / static_cast<double>(wanted));
  }
}

void ShardMetrics::CountAudit(bool equal) {
  const std::shared_ptr<JobFigures> figures = Figures();
  (equal ? figures->audits_equal : figures->audits_different).Increment();
}

void ShardMetrics::CountRefusal(Verdict verdict) {
  Figures()->refused[static_cast<size_t>(verdict)].Increment();
}

void ShardMetrics::CountMalformed(Code code) {
  CountRefusal(code == Code::kDataLoss ? Verdict::kChecksum : Verdict::kLength);
}

void ShardMetrics::CountWeightsSent(uint64_t bytes, bool bf16) {
  const std::shared_ptr<JobFigures> figures = Figures();
  figures->weight_payload.Increment(static_cast<double>(bf16 ? 2 * bytes : bytes));
  (bf16 ? figures->weight_wire_bf16 : figures->weight_wire_f32)
      .Increment(static_cast<double>(bytes));
}

void ShardMetrics::CountRedo(uint64_t bytes, Duration duration) {
  const std::shared_ptr<JobFigures> figures = Figures();
  figures->redo_bytes.Increment(static_cast<double>(bytes));
  figures->redo_duration.Observe(Seconds(duration));
}

void ShardMetrics::ObserveMeasure(Duration duration) {
  measure_duration_.Observe(Seconds(duration));
}

void ShardMetrics::ObserveApply(Duration duration) { apply_duration_.Observe(Seconds(duration)); }

void ShardMetrics::ObservePublish(Duration duration) {
  Figures()->publish_duration.Observe(Seconds(duration));
}

void ShardMetrics::ObserveRestore(const std::string& source, Duration duration) {
  if (source == "initial") return;  // A new job restores nothing.
  registry_->HistogramOf(Metric::kRestoreDurationSeconds, {Figures()->train_job, source})
      .Observe(Seconds(duration));
}

std::shared_ptr<ShardMetrics::JobFigures> ShardMetrics::Figures() const {
  MutexLock lock(&mutex_);
  return figures_;
}

void ShardMetrics::Swap(std::shared_ptr<JobFigures> figures) {
  MutexLock lock(&mutex_);
  figures_.swap(figures);
}

}  // namespace drover
