#include "server/coordinator/job_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "server/coordinator/job_proto.h"
#include "server/optim/rule.h"

namespace drover {
namespace {

constexpr double kSmoothing = 0.2;
constexpr size_t kDigestDigits = 12;  // 48 bits: whole in a double.

double UnixSeconds(int64_t unix_ms) { return static_cast<double>(unix_ms) / 1000.0; }

double LowBits(const std::string& digest) {
  if (digest.size() < kDigestDigits) return 0;
  uint64_t bits = 0;
  const char* end = digest.data() + digest.size();
  std::from_chars(end - kDigestDigits, end, bits, 16);
  return static_cast<double>(bits);
}

bool IsActive(JobState state) {
  return state == JobState::kStarting || state == JobState::kRunning ||
         state == JobState::kRecovering;
}

}  // namespace

JobMetrics::JobMetrics(MetricRegistry* registry, const JobRecord& record, int64_t unix_ms)
    : registry_(registry),
      train_job_(JobIdText(record.id)),
      samples_(CounterOf(Metric::kSamplesTotal)),
      tokens_(CounterOf(Metric::kTokensTotal)),
      steps_(CounterOf(Metric::kStepsTotal)),
      leaves_(CounterOf(Metric::kLeavesCountedTotal)),
      step_duration_(registry->HistogramOf(Metric::kStepDurationSeconds, {train_job_})),
      measures_update_(!InfoOf(record.plan.optimizer.rule).ratio_on_gradient),
      trust_ratio_(registry->HistogramOf(Metric::kTrustRatio, {train_job_})),
      lease_duration_(registry->HistogramOf(Metric::kLeaseDurationSeconds, {train_job_})),
      lease_leaves_(registry->HistogramOf(Metric::kLeaseLeaves, {train_job_})) {
  registry_->AddJob(train_job_);
  Set(Metric::kJobTargetStep, static_cast<double>(record.plan.steps));
  // The alerts on stalls count from the beginning of the run.
  Set(Metric::kJobLastStepTimestampSeconds, UnixSeconds(unix_ms));
  Set(Metric::kCheckpointLastSuccessTimestampSeconds, UnixSeconds(unix_ms));
  OnSave(record);
}

JobMetrics::~JobMetrics() { registry_->RemoveJob(train_job_); }

void JobMetrics::OnSave(const JobRecord& record) {
  if (!described_ && record.layout != nullptr) Describe(record);
  Set(Metric::kJobActive, IsActive(record.state) ? 1 : 0);
  Set(Metric::kJobEpoch, record.epoch);
  SetProgress(record);
}

void JobMetrics::Describe(const JobRecord& record) {
  described_ = true;
  const std::string model = fmt::format("{} parameters", record.layout->parameter_count());
  registry_
      ->GaugeOf(Metric::kJobInfo,
                {train_job_, record.name, model, StateOf(record.plan.optimizer).name(), "exact",
                 record.numeric_class})
      .Set(1);
  ChooseTensors(*record.layout);
}

void JobMetrics::ChooseTensors(const Layout& layout) {
  std::vector<size_t> order(layout.tensors().size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return layout.tensor_size(a) > layout.tensor_size(b);
  });
  order.resize(std::min(order.size(), kTensorsMax));
  for (const size_t index : order) {
    const std::vector<std::string> labels = {train_job_, layout.tensors()[index].name};
    tensors_.push_back({index, registry_->GaugeOf(Metric::kTensorGradientNorm, labels),
                        registry_->GaugeOf(Metric::kTensorWeightNorm, labels),
                        registry_->GaugeOf(Metric::kTensorUpdateNorm, labels),
                        registry_->GaugeOf(Metric::kTensorTrustRatio, labels)});
  }
}

void JobMetrics::SetProgress(const JobRecord& record) {
  version_ = record.version;
  const double version = static_cast<double>(record.version);
  Set(Metric::kJobStep, version);
  Set(Metric::kJobLeaves, static_cast<double>(record.plan.PhaseAt(record.version).leaves));
  Set(Metric::kJobProgressRatio, version / static_cast<double>(record.plan.steps));
  if (record.train_samples > 0) {
    Set(Metric::kJobDataPasses, static_cast<double>(record.plan.SamplesBefore(record.version)) /
                                    static_cast<double>(record.train_samples));
  }
}

void JobMetrics::OnCommit(const SaveCommit& commit, int64_t unix_ms) {
  const StepSummary& summary = commit.summary;
  const JobPlan& plan = commit.record.plan;
  SetProgress(commit.record);
  Set(Metric::kJobLastStepTimestampSeconds, UnixSeconds(unix_ms));
  step_seconds_ = step_seconds_ == 0
                      ? summary.seconds
                      : (1 - kSmoothing) * step_seconds_ + kSmoothing * summary.seconds;
  Set(Metric::kJobExpectedEndTimestampSeconds,
      UnixSeconds(unix_ms) +
          static_cast<double>(plan.steps - commit.record.version) * step_seconds_);
  step_duration_.Observe(summary.seconds);
  SetLateness();
  if (summary.skipped) {
    const bool range = summary.skip_reason.find("range") != std::string::npos;
    CounterOf(Metric::kStepSkippedTotal, range ? "range" : "nonfinite").Increment();
    return;
  }
  steps_.Increment();
  samples_.Increment(static_cast<double>(summary.samples));
  tokens_.Increment(static_cast<double>(summary.tokens));
  leaves_.Increment(static_cast<double>(plan.PhaseAt(summary.step).leaves));
  SetStep(summary);
  SetTensors(summary);
}

void JobMetrics::SetStep(const StepSummary& summary) {
  registry_->GaugeOf(Metric::kLoss, {train_job_, "train"}).Set(summary.loss);
  Set(Metric::kLearningRate, summary.learning_rate);
  Set(Metric::kGlobalBatchSamples, static_cast<double>(summary.samples));
  Set(Metric::kGradientNorm, summary.gradient_norm);
  if (summary.noise_scale) Set(Metric::kGradientNoiseScale, *summary.noise_scale);
  if (summary.clip_factor < 1) CounterOf(Metric::kGradientClipsTotal).Increment();
  registry_->HistogramOf(Metric::kStepPhaseDurationSeconds, {train_job_, "collect"})
      .Observe(summary.collect_seconds);
  registry_->HistogramOf(Metric::kStepPhaseDurationSeconds, {train_job_, "prepare"})
      .Observe(summary.prepare_seconds);
  if (summary.trust_ratios.empty()) return;
  registry_->HistogramOf(Metric::kStepPhaseDurationSeconds, {train_job_, "ratio"})
      .Observe(summary.ratio_seconds);
  if (summary.weight_norm) Set(Metric::kWeightNorm, *summary.weight_norm);
  if (summary.update_norm) Set(Metric::kUpdateNorm, *summary.update_norm);
}

void JobMetrics::SetTensors(const StepSummary& summary) {
  for (size_t i = 0; i < summary.trust_ratios.size(); ++i) {
    if (summary.adapted[i]) trust_ratio_.Observe(summary.trust_ratios[i]);
  }
  for (const TensorSeries& tensor : tensors_) {
    if (tensor.index < summary.gradient_norms.size()) {
      tensor.gradient.Set(summary.gradient_norms[tensor.index]);
    }
    if (tensor.index >= summary.trust_ratios.size()) continue;
    tensor.weight.Set(summary.weight_norms[tensor.index]);
    if (measures_update_) tensor.direction.Set(summary.direction_norms[tensor.index]);
    tensor.ratio.Set(summary.trust_ratios[tensor.index]);
  }
  const Metric limited = Metric::kTrustRatioLimitedTotal;
  CounterOf(limited, "min").Increment(static_cast<double>(summary.limited_min));
  CounterOf(limited, "max").Increment(static_cast<double>(summary.limited_max));
  CounterOf(limited, "zero_norm").Increment(static_cast<double>(summary.limited_zero_norm));
}

void JobMetrics::OnEval(const EvalSummary& summary) {
  registry_->GaugeOf(Metric::kLoss, {train_job_, "eval"}).Set(summary.loss);
  registry_->GaugeOf(Metric::kEvalMetric, {train_job_, "accuracy"}).Set(summary.accuracy);
  if (summary.masked_tokens == 0) return;
  registry_->GaugeOf(Metric::kEvalMetric, {train_job_, "masked_loss"}).Set(summary.masked_loss);
  registry_->GaugeOf(Metric::kEvalMetric, {train_job_, "masked_accuracy"})
      .Set(summary.masked_accuracy);
}

void JobMetrics::OnWorker(const std::string& worker, const std::string& numeric_class) {
  const auto set = [&](const std::string& as, double value) {
    // "cpu onednn-2.6.3 ..." or "cuda NVIDIA H100 ...": the kind of device comes first.
    registry_->GaugeOf(Metric::kWorkerInfo, {train_job_, worker, as, as.substr(0, as.find(' '))})
        .Set(value);
  };
  std::string& known = worker_classes_[worker];
  if (!known.empty() && known != numeric_class) set(known, 0);
  known = numeric_class;
  set(known, 1);
}

void JobMetrics::OnLeaseDone(const std::string& worker, int64_t step, Instant now) {
  if (step == version_) done_[worker] = now;
  if (step + 1 == version_) done_before_[worker] = now;
}

// Of the step before the one that was just committed, since all is heard of it by now. Against the
// earlier one of the two middle workers when their number is even.
void JobMetrics::SetLateness() {
  std::vector<Instant> order;
  for (const auto& [worker, instant] : done_before_) order.push_back(instant);
  std::sort(order.begin(), order.end());
  for (auto& [worker, gauge] : lateness_) gauge.Set(0);
  lateness_seconds_.clear();
  for (const auto& [worker, instant] : done_before_) {
    const auto [entry, added] = lateness_.try_emplace(worker);
    if (added) {
      entry->second = registry_->GaugeOf(Metric::kWorkerLatenessSeconds, {train_job_, worker});
    }
    lateness_seconds_[worker] = Seconds(instant - order[(order.size() - 1) / 2]);
    entry->second.Set(lateness_seconds_[worker]);
  }
  done_before_ = std::move(done_);
  done_.clear();
}

void JobMetrics::ObservePhase(Metric metric, const char* phase, Duration duration) {
  registry_->HistogramOf(metric, {train_job_, phase}).Observe(Seconds(duration));
}

void JobMetrics::OnCommitWritten(double seconds, Instant now) {
  registry_->HistogramOf(Metric::kStepPhaseDurationSeconds, {train_job_, "commit"})
      .Observe(seconds);
  committed_ = now;
}

void JobMetrics::OnApplied(Instant now) {
  if (!committed_.has_value()) return;
  ObservePhase(Metric::kStepPhaseDurationSeconds, "apply", now - *committed_);
  committed_.reset();
}

// One order goes to each shard: the first one counts.
void JobMetrics::OnCheckpointOrdered(int64_t version, Instant now) {
  if (version == checkpoint_version_ && checkpoint_ordered_.has_value()) return;
  checkpoint_version_ = version;
  checkpoint_ordered_ = now;
  checkpoint_parts_.reset();
}

void JobMetrics::OnCheckpointParts(Instant now) {
  if (!checkpoint_ordered_.has_value()) return;
  ObservePhase(Metric::kCheckpointDurationSeconds, "write", now - *checkpoint_ordered_);
  checkpoint_ordered_.reset();
  checkpoint_parts_ = now;
}

void JobMetrics::OnCheckpoint(const CheckpointRecord& checkpoint, int64_t unix_ms, Instant now) {
  if (checkpoint_parts_.has_value()) {
    const double seconds = Seconds(now - *checkpoint_parts_) - verify_seconds_;
    registry_->HistogramOf(Metric::kCheckpointDurationSeconds, {train_job_, "commit"})
        .Observe(std::max(0.0, seconds));
    checkpoint_parts_.reset();
  }
  CounterOf(Metric::kCheckpointsTotal, "ok").Increment();
  Set(Metric::kCheckpointSizeBytes, static_cast<double>(checkpoint.bytes));
  Set(Metric::kCheckpointLastSuccessTimestampSeconds, UnixSeconds(unix_ms));
  Set(Metric::kCheckpointLastStep, static_cast<double>(checkpoint.version));
  Set(Metric::kJobWeightsDigest, LowBits(checkpoint.weights_digest));
}

void JobMetrics::OnCheckpointVerified(double seconds) {
  verify_seconds_ = seconds;
  registry_->HistogramOf(Metric::kCheckpointDurationSeconds, {train_job_, "verify"})
      .Observe(seconds);
}

void JobMetrics::OnCount(const CountEvent& event) {
  using What = CountEvent::What;
  const auto granted = [&](const char* kind) {
    CounterOf(Metric::kLeasesGrantedTotal, kind).Increment();
    lease_leaves_.Observe(event.value);
  };
  const auto count = [&](Metric metric, const char* label) {
    CounterOf(metric, label).Increment(event.value);
  };
  switch (event.what) {
    case What::kLeaseFirst:
      return granted("first");
    case What::kLeaseAgain:
      return granted("again");
    case What::kLeaseCopy:
      return granted("copy");
    case What::kLeaseDone:
      CounterOf(Metric::kLeasesEndedTotal, "done").Increment();
      return lease_duration_.Observe(event.value);
    case What::kLeaseExpired:
      return count(Metric::kLeasesEndedTotal, "expired");
    case What::kLeaseWorkerLost:
      return count(Metric::kLeasesEndedTotal, "worker_lost");
    case What::kLeaseReturned:
      return count(Metric::kLeasesEndedTotal, "returned");
    case What::kLeaseSuperseded:
      return count(Metric::kLeasesEndedTotal, "superseded");
    case What::kRefusedEpoch:
      return count(Metric::kRefusedMessagesTotal, "epoch");
    case What::kRefusedStep:
      return count(Metric::kRefusedMessagesTotal, "step");
    case What::kRefusedLease:
      return count(Metric::kRefusedMessagesTotal, "lease");
    case What::kRefusedLayout:
      return count(Metric::kRefusedMessagesTotal, "layout");
    case What::kRefusedNumericClass:
      return count(Metric::kRefusedMessagesTotal, "numeric_class");
    case What::kTakeoverCoordinator:
      return count(Metric::kJobTakeoversTotal, "coordinator");
    case What::kTakeoverShard:
      return count(Metric::kJobTakeoversTotal, "shard");
    case What::kTakeoverCheckpoint:
      return count(Metric::kJobTakeoversTotal, "checkpoint");
    case What::kTakeoverSuspend:
      return count(Metric::kJobTakeoversTotal, "suspend");
    case What::kDiscardedExpired:
      return count(Metric::kSamplesDiscardedTotal, "lease_expired");
    case What::kDiscardedWorkerLost:
      return count(Metric::kSamplesDiscardedTotal, "worker_lost");
    case What::kDiscardedSkipped:
      return count(Metric::kSamplesDiscardedTotal, "step_skipped");
    case What::kDiscardedRolledBack:
      return count(Metric::kSamplesDiscardedTotal, "rolled_back");
    case What::kCheckpointError:
      return count(Metric::kCheckpointsTotal, "error");
    case What::kCheckpointAbandoned:
      return count(Metric::kCheckpointsTotal, "abandoned");
    case What::kCheckpointQuarantined:
      return CounterOf(Metric::kCheckpointsQuarantinedTotal).Increment();
  }
}

void JobMetrics::OnNonfinite(const std::string& worker) {
  registry_->CounterOf(Metric::kNonfiniteGradientsTotal, {train_job_, worker}).Increment();
}

void JobMetrics::SetMembers(const Members& members) {
  const auto set = [this](Metric metric, const char* state, size_t count) {
    registry_->GaugeOf(metric, {train_job_, state}).Set(static_cast<double>(count));
  };
  set(Metric::kWorkers, "active", members.active);
  set(Metric::kWorkers, "joining", members.joining);
  set(Metric::kWorkers, "draining", members.draining);
  set(Metric::kWorkers, "lost", members.lost);
  set(Metric::kLeases, "open", members.leases);
  set(Metric::kLeases, "overdue", members.leases_overdue);
}

void JobMetrics::SetLag(const std::string& worker, int64_t steps) {
  registry_->GaugeOf(Metric::kWorkerLagSteps, {train_job_, worker}).Set(static_cast<double>(steps));
}

void JobMetrics::SetLastSeen(const std::string& worker, int64_t unix_ms) {
  registry_->GaugeOf(Metric::kWorkerLastSeenTimestampSeconds, {train_job_, worker})
      .Set(UnixSeconds(unix_ms));
}

}  // namespace drover
