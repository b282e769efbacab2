#include "server/coordinator/coordinator_metrics.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace drover {
namespace {

// As the label value: lower case.
std::string StateLabel(JobState state) {
  std::string name = JobStateName(state);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

constexpr std::array kStates = {
    JobState::kQueued,     JobState::kStarting,  JobState::kRunning,    JobState::kRecovering,
    JobState::kSuspending, JobState::kSuspended, JobState::kCancelling, JobState::kCancelled,
    JobState::kSucceeded,  JobState::kFailed,
};

}  // namespace

struct CoordinatorMetrics::EventVisitor {
  CoordinatorMetrics* self;

  void operator()(const WorkerJoined& event) const { self->workers_[event.session] = event.name; }
  void operator()(const WorkerLeft& event) const { self->workers_.erase(event.session); }
  void operator()(const ShardJoined& event) const { self->shards_[event.session] = event.name; }
  void operator()(const ShardLeft& event) const { self->shards_.erase(event.session); }
  void operator()(const LeaseFailed& event) const {
    JobMetrics* job = self->Find(event.fence.job);
    const auto worker = self->workers_.find(event.session);
    if (job != nullptr && worker != self->workers_.end()) job->OnNonfinite(worker->second);
  }
  void operator()(const JobAdded& event) const {
    Series& series = self->jobs_[event.record.id];
    series.added = self->clock_->Now();
    series.waits = !event.restored;
  }
  void operator()(const JobDeleted& event) const { self->jobs_.erase(event.job); }
  void operator()(const ManifestCommitted& event) const {
    JobMetrics* job = self->Find(event.job);
    if (job != nullptr && !event.error.empty()) job->OnCheckpointError();
  }
  template <typename Other>
  void operator()(const Other& /*event*/) const {}
};

struct CoordinatorMetrics::ActionVisitor {
  CoordinatorMetrics* self;

  void operator()(const SaveJob& action) const { self->OnSave(action.record); }
  void operator()(const SaveCommit& action) const {
    self->OnSave(action.record);
    JobMetrics* job = self->Find(action.record.id);
    if (job != nullptr) job->OnCommit(action, self->clock_->UnixMilliseconds());
  }
  void operator()(const SaveCheckpoint& action) const {
    JobMetrics* job = self->Find(action.job);
    if (job != nullptr) job->OnCheckpoint(action.checkpoint, self->clock_->UnixMilliseconds());
  }
  void operator()(const EvalEvent& action) const {
    JobMetrics* job = self->Find(action.job);
    if (job != nullptr) job->OnEval(action.summary);
  }
  void operator()(const CountEvent& action) const {
    JobMetrics* job = self->Find(action.job);
    if (job != nullptr) job->OnCount(action);
  }
  void operator()(const StateEvent& action) const { self->OnState(action); }
  template <typename Other>
  void operator()(const Other& /*action*/) const {}
};

CoordinatorMetrics::CoordinatorMetrics(MetricRegistry* registry, const Clock* clock)
    : registry_(registry), clock_(clock), next_gauges_(clock->Now()) {}

void CoordinatorMetrics::OnEvent(const CoordinatorEvent& event) {
  std::visit(EventVisitor{this}, event);
}

void CoordinatorMetrics::OnAction(const CoordinatorAction& action) {
  std::visit(ActionVisitor{this}, action);
}

void CoordinatorMetrics::OnStoreWrite(StoreWrite kind, double seconds) {
  registry_
      ->HistogramOf(Metric::kJobStoreOperationDurationSeconds,
                    {kind == StoreWrite::kCommit ? "commit" : "append"})
      .Observe(seconds);
}

// Mostly a peer that has not heard of the job's end: an epoch that is over for good.
void CoordinatorMetrics::OnUnknownJob() {
  registry_->CounterOf(Metric::kRefusedMessagesTotal, {"unknown", "epoch"}).Increment();
}

JobMetrics* CoordinatorMetrics::Find(uint64_t job) {
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? nullptr : found->second.metrics.get();
}

void CoordinatorMetrics::OnSave(const JobRecord& record) {
  Series& series = jobs_[record.id];
  if (HasEnded(record.state) || record.state == JobState::kSuspended) {
    if (!series.ended.has_value()) series.ended = clock_->Now();
  } else {
    series.ended.reset();
  }
  if (series.metrics != nullptr) return series.metrics->OnSave(record);
  if (record.state == JobState::kQueued || series.ended.has_value()) return;
  series.metrics = std::make_unique<JobMetrics>(registry_, record, clock_->UnixMilliseconds());
}

void CoordinatorMetrics::OnState(const StateEvent& event) {
  Series& series = jobs_[event.job];
  const double seconds = Seconds(clock_->Now() - series.added);
  if (event.state == JobState::kRunning && series.waits) {
    series.waits = false;
    registry_->HistogramOf(Metric::kJobQueueWaitSeconds).Observe(seconds);
  }
  if (HasEnded(event.state)) {
    registry_->HistogramOf(Metric::kJobRuntimeSeconds, {StateLabel(event.state)}).Observe(seconds);
  }
}

void CoordinatorMetrics::OnTick(const Coordinator& core) {
  const Instant now = clock_->Now();
  if (now < next_gauges_) return;
  next_gauges_ = now + kGaugesEvery;
  RemoveEnded(now);
  SetGauges(core);
  SetShards(core);
}

void CoordinatorMetrics::RemoveEnded(Instant now) {
  for (auto& [job, series] : jobs_) {
    if (series.ended.has_value() && now - *series.ended >= kKeepEnded) series.metrics.reset();
  }
}

void CoordinatorMetrics::SetGauges(const Coordinator& core) {
  std::map<JobState, int> counts;
  for (const auto& [id, record] : core.jobs()) ++counts[record.state];
  for (const JobState state : kStates) {
    registry_->GaugeOf(Metric::kJobs, {StateLabel(state)}).Set(counts[state]);
  }
  const std::optional<uint64_t> running = core.running_job();
  for (auto& [job, series] : jobs_) {
    if (series.metrics == nullptr) continue;
    if (job != running) {
      series.metrics->SetMembers(0, 0, 0);
      continue;
    }
    const int64_t version = core.FindJob(job)->version;
    uint32_t described = 0;
    uint32_t joining = 0;
    for (const Coordinator::WorkerView& worker : core.Workers()) {
      ++(worker.described ? described : joining);
      if (worker.version >= 0) series.metrics->SetLag(worker.name, version - worker.version);
    }
    series.metrics->SetMembers(described, joining, core.open_leases());
  }
}

// Placed shards are restoring until the job runs; lost while their stream is gone.
void CoordinatorMetrics::SetShards(const Coordinator& core) {
  size_t lost = 0;
  size_t restoring = 0;
  const std::optional<uint64_t> running = core.running_job();
  if (running.has_value()) {
    const JobRecord& record = *core.FindJob(*running);
    for (const Placement& placement : record.placement) {
      const bool here = std::any_of(shards_.begin(), shards_.end(), [&](const auto& shard) {
        return shard.second == placement.shard;
      });
      if (!here) ++lost;
      if (here && (record.state == JobState::kStarting || record.state == JobState::kRecovering)) {
        ++restoring;
      }
    }
  }
  const auto set = [this](const char* state, size_t count) {
    registry_->GaugeOf(Metric::kShards, {state}).Set(static_cast<double>(count));
  };
  set("lost", lost);
  set("restoring", restoring);
  set("ready", shards_.size() - std::min(restoring, shards_.size()));
}

}  // namespace drover
