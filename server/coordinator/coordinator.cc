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
  JobRun* run() { return coordinator->run_.get(); }

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
    if (run() != nullptr) run()->OnWorkerJoined(&worker, turn);
  }

  void operator()(const WorkerLeft& event) {
    const auto found = members().workers.find(event.session);
    if (found == members().workers.end()) return;
    const WorkerMember worker = found->second;
    members().workers.erase(found);
    if (run() != nullptr) run()->OnWorkerGone(worker, event.reason, turn);
  }

  void operator()(const WorkerLeaving& event) {
    const auto found = members().workers.find(event.session);
    if (found != members().workers.end()) found->second.leaving = true;
  }

  void operator()(const ShardJoined& event) {
    if (const auto old = members().ShardSession(event.name)) {
      turn->actions.push_back(CloseSession{*old, "replaced by a newcomer of the same name"});
      (*this)(ShardLeft{*old, "replaced by a newcomer of the same name"});
    }
    members().shards[event.session] = {event.session, event.name, event.incarnation, event.address};
  }

  void operator()(const ShardLeft& event) {
    const auto found = members().shards.find(event.session);
    if (found == members().shards.end()) return;
    const ShardMember shard = found->second;
    members().shards.erase(found);
    if (run() != nullptr) run()->OnShardGone(shard, event.reason, turn);
  }

  void operator()(const ShardReplied& event) {
    const auto found = members().shards.find(event.session);
    if (found == members().shards.end() || run() == nullptr) return;
    run()->OnShardReply(found->second.name, event.reply, turn);
  }

  void operator()(const ModelDescribed& event) {
    if (run() != nullptr) run()->OnDescribed(event, turn);
  }
  void operator()(const WorkRequested& event) {
    if (run() != nullptr) run()->OnWorkRequested(event, turn);
  }
  void operator()(const LeaseDone& event) {
    if (run() != nullptr) run()->OnLeaseDone(event, turn);
  }
  void operator()(const LeaseFailed& event) {
    if (run() != nullptr) run()->OnLeaseFailed(event, turn);
  }
  void operator()(const EvalDone& event) {
    if (run() != nullptr) run()->OnEvalDone(event, turn);
  }

  void operator()(const JobAdded& event) {
    const JobState state = event.record.state;
    JobRecord& job = coordinator->jobs_[event.record.id] = event.record;
    const bool ran = event.restored && state != JobState::kQueued &&
                     state != JobState::kSuspended && !HasEnded(state);
    // One job runs at a time, so at most one comes back from the store like this.
    if (!ran || run() != nullptr) return;
    coordinator->run_ = std::make_unique<JobRun>(&job, &members(), coordinator->options_.shards_min,
                                                 coordinator->options_.checkpoint_directory,
                                                 /*restored=*/true, turn);
  }

  void operator()(const JobVerbRequested& event) { coordinator->OnVerb(event, turn); }

  void operator()(const JobDeleted& event) {
    const auto found = coordinator->jobs_.find(event.job);
    if (found != coordinator->jobs_.end() && HasEnded(found->second.state)) {
      coordinator->jobs_.erase(found);
    }
  }

  void operator()(const ManifestCommitted& event) {
    if (run() != nullptr && run()->job() == event.job) run()->OnManifest(event, turn);
  }

  void operator()(const Tick&) {}
};

Coordinator::Coordinator(const CoordinatorOptions& options)
    : options_(options), members_(std::make_unique<Members>()) {}

Coordinator::~Coordinator() = default;

std::vector<CoordinatorAction> Coordinator::Handle(const CoordinatorEvent& event, Instant now) {
  Turn turn{now, {}};
  std::visit(Visitor{this, &turn}, event);
  if (run_ != nullptr) run_->Advance(&turn);
  if (run_ != nullptr && run_->over()) run_.reset();
  if (run_ == nullptr) StartNextJob(&turn);
  return std::move(turn.actions);
}

void Coordinator::StartNextJob(Turn* turn) {
  const std::optional<uint64_t> next = NextJob(jobs_);
  if (!next) return;
  run_ = std::make_unique<JobRun>(&jobs_[*next], members_.get(), options_.shards_min,
                                  options_.checkpoint_directory, /*restored=*/false, turn);
  run_->Advance(turn);
}

void Coordinator::OnVerb(const JobVerbRequested& event, Turn* turn) {
  const auto found = jobs_.find(event.job);
  if (found == jobs_.end()) return;
  JobRecord& job = found->second;
  if (!CheckVerb(job.state, event.verb).ok()) return;
  if (run_ != nullptr && run_->job() == event.job) {
    if (event.verb == JobVerb::kCancel) run_->Cancel(turn);
    if (event.verb == JobVerb::kSuspend) run_->Suspend(turn);
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

uint32_t Coordinator::worker_count() const {
  uint32_t count = 0;
  for (const auto& [session, worker] : members_->workers) count += worker.described ? 1 : 0;
  return run_ == nullptr ? 0 : count;
}

uint32_t Coordinator::shard_count() const {
  if (run_ == nullptr) return 0;
  return static_cast<uint32_t>(jobs_.at(run_->job()).placement.size());
}

std::optional<uint64_t> Coordinator::running_job() const {
  if (run_ == nullptr) return std::nullopt;
  return run_->job();
}

std::vector<Coordinator::WorkerView> Coordinator::Workers() const {
  std::vector<WorkerView> views;
  for (const auto& [session, worker] : members_->workers) {
    views.push_back({worker.name, run_ == nullptr ? 0 : run_->job(), worker.described,
                     worker.version, worker.lanes, worker.numeric_class, worker.leaving,
                     worker.refused ? worker.refusal : "", worker.samples_per_second});
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

size_t Coordinator::open_leases() const { return run_ == nullptr ? 0 : run_->open_leases(); }

size_t Coordinator::overdue_leases(Instant now) const {
  return run_ == nullptr ? 0 : run_->overdue_leases(now);
}

}  // namespace drover
