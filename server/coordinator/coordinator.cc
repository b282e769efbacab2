#include "server/coordinator/coordinator.h"

#include <utility>

#include "server/coordinator/job_queue.h"
#include "server/coordinator/job_run.h"
#include "server/coordinator/membership.h"

namespace drover {

// One method per event: notes it, and passes on to the running job what concerns it.
struct Coordinator::Visitor {
  Coordinator* coordinator;
  Turn* turn;

  Members& members() { return *coordinator->members_; }
  JobRun* RunOf(uint64_t job) { return coordinator->RunOf(job); }
  void PlanIsDue() { coordinator->plan_due_ = true; }

  void operator()(const WorkerJoined& event) {
    if (const auto old = members().WorkerSession(event.name)) {
      turn->actions.push_back(CloseSession{*old, "replaced by a newcomer of the same name"});
      (*this)(WorkerLeft{*old, "replaced by a newcomer of the same name"});
    }
    WorkerMember& worker = members().workers[event.session];
    worker.session = event.session;
    worker.name = event.name;
    worker.numeric_class = event.numeric_class;
    worker.lanes = event.lanes;
    PlanIsDue();
  }

  void operator()(const WorkerLeft& event) {
    const auto found = members().workers.find(event.session);
    if (found == members().workers.end()) return;
    const WorkerMember worker = found->second;
    members().workers.erase(found);
    if (JobRun* run = RunOf(worker.job)) run->OnWorkerGone(worker, event.reason, turn);
    PlanIsDue();
  }

  void operator()(const WorkerLeaving& event) {
    const auto found = members().workers.find(event.session);
    if (found == members().workers.end()) return;
    found->second.leaving = true;
    PlanIsDue();
  }

  void operator()(const ShardJoined& event) {
    if (const auto old = members().ShardSession(event.name)) {
      turn->actions.push_back(CloseSession{*old, "replaced by a newcomer of the same name"});
      (*this)(ShardLeft{*old, "replaced by a newcomer of the same name"});
    }
    members().shards[event.session] = {event.session, event.name, event.incarnation, event.address};
    // It was away when they ended or were moved. Of a job that is not ours it keeps what it has.
    for (const uint64_t job : event.jobs) {
      const JobRun* run = RunOf(job);
      if (coordinator->FindJob(job) == nullptr || (run != nullptr && run->IsOn(event.name)))
        continue;
      turn->actions.push_back(SendToShard{event.session, ReleaseOrder{job}});
    }
    PlanIsDue();
  }

  void operator()(const ShardLeft& event) {
    const auto found = members().shards.find(event.session);
    if (found == members().shards.end()) return;
    const ShardMember shard = found->second;
    members().shards.erase(found);
    for (auto& [id, run] : coordinator->runs_) run->OnShardGone(shard, event.reason, turn);
    PlanIsDue();
  }

  void operator()(const ShardReplied& event) {
    const auto found = members().shards.find(event.session);
    if (found == members().shards.end()) return;
    const uint64_t job = std::visit([](const auto& r) { return r.fence.job; }, event.reply);
    if (JobRun* run = RunOf(job)) run->OnShardReply(found->second.name, event.reply, turn);
  }

  void operator()(const ModelDescribed& event) {
    if (JobRun* run = RunOf(event.job)) run->OnDescribed(event, turn);
    PlanIsDue();  // A worker that is refused may serve another job.
  }
  void operator()(const WorkRequested& event) {
    if (JobRun* run = RunOf(event.fence.job)) run->OnWorkRequested(event, turn);
  }
  void operator()(const LeaseDone& event) {
    if (JobRun* run = RunOf(event.fence.job)) run->OnLeaseDone(event, turn);
  }
  void operator()(const LeaseFailed& event) {
    if (JobRun* run = RunOf(event.fence.job)) run->OnLeaseFailed(event, turn);
  }
  void operator()(const LeaseReturned& event) {
    if (JobRun* run = RunOf(event.fence.job)) run->OnLeaseReturned(event, turn);
  }
  void operator()(const EvalDone& event) {
    if (JobRun* run = RunOf(event.fence.job)) run->OnEvalDone(event, turn);
  }

  void operator()(const JobAdded& event) {
    const JobState state = event.record.state;
    JobRecord& job = coordinator->jobs_[event.record.id] = event.record;
    PlanIsDue();
    const bool ran = event.restored && state != JobState::kQueued &&
                     state != JobState::kSuspended && !HasEnded(state);
    if (ran) coordinator->Run(&job, /*restored=*/true, turn);
  }

  void operator()(const JobVerbRequested& event) {
    coordinator->OnVerb(event, turn);
    PlanIsDue();
  }

  void operator()(const JobDeleted& event) {
    const auto found = coordinator->jobs_.find(event.job);
    if (found != coordinator->jobs_.end() && HasEnded(found->second.state)) {
      coordinator->jobs_.erase(found);
    }
  }

  void operator()(const ManifestCommitted& event) {
    if (JobRun* run = RunOf(event.job)) run->OnManifest(event, turn);
  }

  void operator()(const Tick&) {}
};

Coordinator::Coordinator(const CoordinatorOptions& options)
    : options_(options), members_(std::make_unique<Members>()) {}

Coordinator::~Coordinator() = default;

std::vector<CoordinatorAction> Coordinator::Handle(const CoordinatorEvent& event, Instant now) {
  Turn turn{now, {}};
  std::visit(Visitor{this, &turn}, event);
  Advance(&turn);
  while (plan_due_) {  // A job that ends makes room; each one ends once.
    plan_due_ = false;
    Plan(&turn);
    Advance(&turn);
  }
  return std::move(turn.actions);
}

// All of them, whatever has happened: who depends on what is their own matter.
void Coordinator::Advance(Turn* turn) {
  std::vector<uint64_t> over;
  for (auto& [id, run] : runs_) {
    run->Advance(turn);
    if (run->over()) over.push_back(id);
  }
  for (const uint64_t id : over) EndRun(id);
}

void Coordinator::EndRun(uint64_t job) {
  runs_.erase(job);
  for (auto& [session, worker] : members_->workers) {
    worker.refused_by.erase(job);
    if (worker.job != job) continue;
    worker.job = 0;
    worker.described = false;
    worker.refused = false;
  }
  plan_due_ = true;
}

void Coordinator::Run(JobRecord* job, bool restored, Turn* turn) {
  runs_[job->id] = std::make_unique<JobRun>(job, members_.get(), options_.shards_min,
                                            options_.checkpoint_directory, restored, turn);
}

JobRun* Coordinator::RunOf(uint64_t job) const {
  const auto found = runs_.find(job);
  return found == runs_.end() ? nullptr : found->second.get();
}

void Coordinator::Plan(Turn* turn) {
  std::vector<QueueJob> jobs;
  for (const auto& [id, job] : jobs_) {
    const JobRun* run = RunOf(id);
    if (run == nullptr ? job.state != JobState::kQueued : run->stopping()) continue;
    jobs.push_back({id, job.plan.priority, job.order, job.plan.min_workers, job.plan.max_workers,
                    run != nullptr, 0});
    if (run == nullptr) continue;
    for (const WorkerMember* worker : members_->WorkersOf(id)) {
      jobs.back().workers += worker->refused || worker->leaving ? 0 : 1;
    }
  }
  std::vector<FreeWorker> free;
  for (const auto& [session, worker] : members_->workers) {
    if (worker.leaving || (worker.job != 0 && !worker.refused)) continue;
    free.push_back({session, worker.refused_by});
  }
  const QueueLimits limits = {static_cast<uint32_t>(members_->shards.size()), options_.shards_min,
                              options_.running_jobs_max};
  const QueuePlan plan = PlanQueue(std::move(jobs), std::move(free), limits);
  for (const uint64_t id : plan.start) Run(&jobs_.at(id), /*restored=*/false, turn);
  for (const auto& [session, job] : plan.workers) {
    RunOf(job)->TakeWorker(&members_->workers.at(session), turn);
  }
  // Not stored: it is found again whenever something changes.
  for (const auto& [id, wait] : plan.waits) {
    jobs_.at(id).reason = wait.reason;
    jobs_.at(id).message = wait.message;
  }
}

void Coordinator::OnVerb(const JobVerbRequested& event, Turn* turn) {
  const auto found = jobs_.find(event.job);
  if (found == jobs_.end()) return;
  JobRecord& job = found->second;
  if (!CheckVerb(job.state, event.verb).ok()) return;
  if (JobRun* run = RunOf(event.job)) {
    if (event.verb == JobVerb::kCancel) run->Cancel(turn);
    if (event.verb == JobVerb::kSuspend) run->Suspend(turn);
    return;
  }
  const JobState before = job.state;
  if (event.verb == JobVerb::kCancel && !HasEnded(before)) job.state = JobState::kCancelled;
  if (event.verb == JobVerb::kSuspend) job.state = JobState::kSuspended;
  if (event.verb == JobVerb::kResume) job.state = JobState::kQueued;
  if (job.state == before) return;
  job.reason.clear();
  job.message.clear();
  turn->actions.push_back(SaveJob{job});
  turn->actions.push_back(StateEvent{job.id, job.state});
}

const JobRecord* Coordinator::FindJob(uint64_t id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

std::vector<uint64_t> Coordinator::running_jobs() const {
  std::vector<uint64_t> jobs;
  for (const auto& [id, run] : runs_) jobs.push_back(id);
  return jobs;
}

uint32_t Coordinator::worker_count(uint64_t job) const {
  uint32_t count = 0;
  for (const WorkerMember* worker : members_->WorkersOf(job)) count += worker->described ? 1 : 0;
  return count;
}

uint32_t Coordinator::shard_count(uint64_t job) const {
  return runs(job) ? static_cast<uint32_t>(jobs_.at(job).placement.size()) : 0;
}

std::vector<Coordinator::WorkerView> Coordinator::Workers() const {
  std::vector<WorkerView> views;
  for (const auto& [session, worker] : members_->workers) {
    views.push_back({worker.name, worker.job, worker.described, worker.version, worker.lanes,
                     worker.numeric_class, worker.leaving, worker.refused ? worker.refusal : "",
                     worker.samples_per_second});
  }
  return views;
}

std::vector<Coordinator::ShardView> Coordinator::Shards() const {
  std::vector<ShardView> views;
  for (const auto& [session, shard] : members_->shards) {
    views.push_back({shard.name, shard.address});
  }
  return views;
}

size_t Coordinator::open_leases(uint64_t job) const {
  const JobRun* run = RunOf(job);
  return run == nullptr ? 0 : run->open_leases();
}

size_t Coordinator::overdue_leases(uint64_t job, Instant now) const {
  const JobRun* run = RunOf(job);
  return run == nullptr ? 0 : run->overdue_leases(now);
}

}  // namespace drover
