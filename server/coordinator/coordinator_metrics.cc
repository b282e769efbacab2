#include "server/coordinator/coordinator_metrics.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
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

  void operator()(const WorkerJoined& event) const {
    self->workers_[event.session] = {event.name, event.numeric_class,
                                     self->clock_->UnixMilliseconds(), /*leaving=*/false};
    self->lost_.erase(event.name);
  }
  void operator()(const WorkerLeft& event) const {
    const auto worker = self->workers_.find(event.session);
    if (worker == self->workers_.end()) return;
    const Worker& known = worker->second;
    if (!known.leaving) self->lost_[known.name] = {self->clock_->Now(), known.job};
    self->workers_.erase(worker);
  }
  void operator()(const WorkerLeaving& event) const {
    const auto worker = self->workers_.find(event.session);
    if (worker != self->workers_.end()) worker->second.leaving = true;
  }
  void operator()(const ShardJoined& event) const { self->shards_[event.session] = event.name; }
  void operator()(const ShardLeft& event) const { self->shards_.erase(event.session); }
  void operator()(const LeaseFailed& event) const {
    JobMetrics* job = self->Find(event.fence.job);
    const auto worker = self->workers_.find(event.session);
    if (job != nullptr && worker != self->workers_.end()) job->OnNonfinite(worker->second.name);
  }
  void operator()(const ModelDescribed& event) const {
    JobMetrics* job = self->Find(event.job);
    const auto worker = self->workers_.find(event.session);
    if (job == nullptr || worker == self->workers_.end() || !event.error.empty()) return;
    const Worker& known = worker->second;
    job->OnWorker(known.name,
                  event.numeric_class.empty() ? known.numeric_class : event.numeric_class);
  }
  void operator()(const LeaseDone& event) const {
    JobMetrics* job = self->Find(event.fence.job);
    const auto worker = self->workers_.find(event.session);
    if (job == nullptr || worker == self->workers_.end()) return;
    job->OnLeaseDone(worker->second.name, event.fence.step, self->clock_->Now());
  }
  void operator()(const JobAdded& event) const {
    Series& series = self->jobs_[event.record.id];
    series.added = self->clock_->Now();
    series.waits = !event.restored;
  }
  void operator()(const JobDeleted& event) const { self->jobs_.erase(event.job); }
  void operator()(const ManifestCommitted& event) const {
    JobMetrics* job = self->Find(event.job);
    if (job != nullptr && event.error.empty()) job->OnCheckpointVerified(event.verify_seconds);
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
    if (job == nullptr) return;
    job->OnCommit(action, self->clock_->UnixMilliseconds());
    job->OnCommitWritten(self->commit_seconds_, self->clock_->Now());
  }
  void operator()(const SendToWorker& action) const {
    const auto worker = self->workers_.find(action.session);
    if (worker == self->workers_.end()) return;
    if (const auto* assignment = std::get_if<AssignmentOrder>(&action.order)) {
      worker->second.job = assignment->job;
    } else if (std::holds_alternative<UnassignOrder>(action.order)) {
      worker->second.job = 0;
    }
  }
  void operator()(const SendToShard& action) const {
    if (const auto* stable = std::get_if<StableOrder>(&action.order)) {
      JobMetrics* job = self->Find(stable->fence.job);
      if (job != nullptr) job->OnApplied(self->clock_->Now());
    } else if (const auto* write = std::get_if<WriteCheckpointOrder>(&action.order)) {
      JobMetrics* job = self->Find(write->fence.job);
      if (job != nullptr) job->OnCheckpointOrdered(write->fence.step, self->clock_->Now());
    }
  }
  void operator()(const CommitManifest& action) const {
    JobMetrics* job = self->Find(action.record.id);
    if (job != nullptr) job->OnCheckpointParts(self->clock_->Now());
  }
  void operator()(const SaveCheckpoint& action) const {
    JobMetrics* job = self->Find(action.job);
    if (job == nullptr) return;
    job->OnCheckpoint(action.checkpoint, self->clock_->UnixMilliseconds(), self->clock_->Now());
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
  const int64_t now = clock_->UnixMilliseconds();
  std::visit(
      [&](const auto& known) {
        if constexpr (requires { known.session; }) {
          const auto worker = workers_.find(known.session);
          if (worker != workers_.end()) worker->second.heard_unix_ms = now;
        }
      },
      event);
}

void CoordinatorMetrics::OnAction(const CoordinatorAction& action) {
  std::visit(ActionVisitor{this}, action);
}

void CoordinatorMetrics::OnStoreWrite(StoreWrite kind, double seconds) {
  if (kind == StoreWrite::kCommit) commit_seconds_ = seconds;
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

CoordinatorObserver::JobFigures CoordinatorMetrics::FiguresOf(uint64_t job) const {
  const auto found = jobs_.find(job);
  if (found == jobs_.end() || found->second.metrics == nullptr) return {};
  return found->second.metrics->Figures();
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
  std::erase_if(lost_,
                [now](const auto& worker) { return now - worker.second.since >= kRememberLost; });
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
  for (auto& [job, series] : jobs_) {
    if (series.metrics != nullptr) SetWorkers(core, job, series.metrics.get());
  }
}

void CoordinatorMetrics::SetWorkers(const Coordinator& core, uint64_t job,
                                    JobMetrics* metrics) const {
  if (!core.runs(job)) return metrics->SetMembers({});
  const int64_t version = core.FindJob(job)->version;
  for (const Coordinator::WorkerView& worker : core.Workers()) {
    if (worker.job == job && worker.version >= 0) {
      metrics->SetLag(worker.name, version - worker.version);
    }
  }
  for (const auto& [session, worker] : workers_) {
    if (worker.job == job) metrics->SetLastSeen(worker.name, worker.heard_unix_ms);
  }
  metrics->SetMembers(MembersOf(core, job));
}

JobMetrics::Members CoordinatorMetrics::MembersOf(const Coordinator& core, uint64_t job) const {
  JobMetrics::Members members;
  for (const auto& [session, worker] : workers_) {
    members.draining += worker.leaving && worker.job == job ? 1 : 0;
  }
  for (const Coordinator::WorkerView& worker : core.Workers()) {
    if (worker.job == job) ++(worker.described ? members.active : members.joining);
  }
  members.active -= std::min(members.active, members.draining);
  for (const auto& [name, worker] : lost_) members.lost += worker.job == job ? 1 : 0;
  members.leases = core.open_leases(job);
  members.leases_overdue = core.overdue_leases(job, clock_->Now());
  return members;
}

// Placed shards are restoring until their jobs run; lost while their stream is gone.
void CoordinatorMetrics::SetShards(const Coordinator& core) {
  std::set<std::string> lost_names;
  std::set<std::string> restoring_names;
  for (const uint64_t job : core.running_jobs()) {
    const JobRecord& record = *core.FindJob(job);
    for (const Placement& placement : record.placement) {
      const bool here = std::any_of(shards_.begin(), shards_.end(), [&](const auto& shard) {
        return shard.second == placement.shard;
      });
      if (!here) lost_names.insert(placement.shard);
      if (here && (record.state == JobState::kStarting || record.state == JobState::kRecovering)) {
        restoring_names.insert(placement.shard);
      }
    }
  }
  const size_t lost = lost_names.size();
  const size_t restoring = restoring_names.size();
  const auto set = [this](const char* state, size_t count) {
    registry_->GaugeOf(Metric::kShards, {state}).Set(static_cast<double>(count));
  };
  set("lost", lost);
  set("restoring", restoring);
  set("ready", shards_.size() - std::min(restoring, shards_.size()));
}

}  // namespace drover
