#include <fmt/format.h>

#include <algorithm>

#include "server/coordinator/job_run.h"

namespace drover {
namespace {

using std::chrono::seconds;

// A worker that asks for work has given up a lease this old; a younger one crossed its request.
constexpr Duration kCrossing = seconds(3);
// A worker without a lease that has been silent for this long is assigned again.
constexpr Duration kSilenceMax = seconds(6);

std::string TextOf(const DataFingerprint& data) {
  return fmt::format("{:016x} (training) and {:016x} (evaluation)", data.train, data.eval);
}

}  // namespace

void JobRun::TakeWorker(WorkerMember* worker, Turn* turn) {
  worker->job = record_->id;
  worker->described = false;
  worker->refused = false;
  worker->refusal.clear();
  worker->idle = false;
  worker->version = -1;
  worker->samples_per_second = 0.0;
  worker->heard = turn->now;
  SendAssignment(*worker, turn);
}

void JobRun::OnWorkerGone(const WorkerMember& worker, const std::string& reason, Turn* turn) {
  if (!worker.leaving) {
    ++record_->workers_lost;
    Log(LogSeverity::kWarning, "worker/" + worker.name, "lost: " + reason, turn);
  } else {
    Log(LogSeverity::kInfo, "worker/" + worker.name, "left", turn);
  }
  for (LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
    if (table == nullptr) continue;
    EndLeases(*table, table->ReleaseWorker(worker.session), CountEvent::What::kLeaseWorkerLost,
              "worker/" + worker.name + " is gone", turn);
  }
}

void JobRun::OnDescribed(const ModelDescribed& event, Turn* turn) {
  WorkerMember* const found = members_->FindWorker(event.session, record_->id);
  if (found == nullptr) return;
  WorkerMember& worker = *found;
  worker.heard = turn->now;
  if (!event.numeric_class.empty()) worker.numeric_class = event.numeric_class;
  if (event.lanes > 0) worker.lanes = event.lanes;
  std::string refusal = event.error;
  if (refusal.empty() && record_->layout == nullptr) {
    std::vector<std::string> tensors;
    for (const TensorSpec& tensor : event.layout->tensors()) tensors.push_back(tensor.name);
    const Status groups = CheckGroupsApply(record_->plan.optimizer, tensors);
    if (!groups.ok()) return Fail("GROUP_WITHOUT_TENSORS", groups.message(), turn);
    record_->layout = event.layout;
    record_->train_samples = event.train_samples;
    record_->eval_samples = event.eval_samples;
    record_->data = event.data;
    record_->numeric_class = worker.numeric_class;
    turn->actions.push_back(SaveJob{*record_});
    Log(LogSeverity::kInfo, "worker/" + worker.name,
        fmt::format("described the model: {} tensors, {} parameters, numeric class {}",
                    event.layout->tensors().size(), event.layout->parameter_count(),
                    worker.numeric_class),
        turn);
  } else if (refusal.empty() && event.layout->hash() != record_->layout->hash()) {
    refusal = "its model has another layout than the one the job began with";
    Count(CountEvent::What::kRefusedLayout, 1, turn);
  } else if (refusal.empty() && (event.train_samples != record_->train_samples ||
                                 event.eval_samples != record_->eval_samples)) {
    refusal = fmt::format("its dataset has {} + {} samples, the job began with {} + {}",
                          event.train_samples, event.eval_samples, record_->train_samples,
                          record_->eval_samples);
    Count(CountEvent::What::kRefusedLayout, 1, turn);
  } else if (refusal.empty() && record_->data != DataFingerprint{} && event.data != record_->data) {
    refusal = fmt::format(
        "its dataset {} holds other data than the job began with: its fingerprints are {}, the "
        "job's {}; give worker/{} the same files as the others",
        event.dataset, TextOf(event.data), TextOf(record_->data), worker.name);
    Count(CountEvent::What::kRefusedLayout, 1, turn);
  } else if (refusal.empty() && worker.numeric_class != record_->numeric_class &&
             !record_->plan.mixed) {
    refusal = fmt::format(
        "its numeric class is \"{}\", the job's is \"{}\"; set "
        "numerics.mixed: true if other bits are acceptable",
        worker.numeric_class, record_->numeric_class);
    Count(CountEvent::What::kRefusedNumericClass, 1, turn);
  }
  // Begun by a release that kept none: the first worker that comes now decides.
  if (refusal.empty() && record_->data != event.data) {
    record_->data = event.data;
    turn->actions.push_back(SaveJob{*record_});
  }
  worker.described = refusal.empty();
  worker.refused = !refusal.empty();
  worker.refusal = refusal;
  if (!worker.refused) return;
  worker.refused_by.insert(record_->id);
  Log(LogSeverity::kError, "worker/" + worker.name, "cannot serve the job: " + refusal, turn);
  turn->actions.push_back(SendToWorker{worker.session, UnassignOrder{record_->id}});
  // Those that serve other jobs may be busy for days: this one can be submitted again.
  const bool nobody =
      std::all_of(members_->workers.begin(), members_->workers.end(), [this](const auto& entry) {
        const WorkerMember& other = entry.second;
        return other.refused_by.contains(record_->id) ||
               (other.job != 0 && other.job != record_->id && !other.refused);
      });
  if (nobody && record_->layout == nullptr) Fail("NO_WORKER_CAN_SERVE", refusal, turn);
}

void JobRun::OnWorkRequested(const WorkRequested& event, Turn* turn) {
  WorkerMember* const found = members_->FindWorker(event.session, record_->id);
  if (found == nullptr || !FenceHolds(event.fence, turn)) return;
  WorkerMember& worker = *found;
  worker.heard = turn->now;
  if (!worker.described || worker.refused || worker.leaving) return;
  for (LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
    if (table == nullptr) continue;
    for (const auto& [id, lease] : table->live()) {
      if (lease.worker != worker.session) continue;
      if (turn->now - lease.granted < kCrossing) return;
      // Perhaps because some of its leaves are on a shard as part of another range.
      EndLeases(*table, table->GiveUp(worker.session), CountEvent::What::kLeaseReturned,
                "given up by worker/" + worker.name, turn);
      break;
    }
  }
  worker.idle = true;
  worker.version = event.fence.step;
}

void JobRun::OnLeaseDone(const LeaseDone& event, Turn* turn) {
  if (!FenceHolds(event.fence, turn)) return;
  std::optional<LeaseTable::Lease> lease;
  bool counts = true;
  if (leases_ && event.fence.step == record_->version) {
    const auto live = leases_->live().find(event.lease);
    counts = live == leases_->live().end() || leases_->NeedsResult(live->second.leaves);
    lease = leases_->Done(event.lease, event.session);
  }
  if (!lease) {
    Count(CountEvent::What::kRefusedLease, 1, turn);
    return;
  }
  Count(CountEvent::What::kLeaseDone, event.seconds, turn);
  if (!counts) CountDiscarded(CountEvent::What::kDiscardedExpired, lease->leaves.size(), turn);
  WorkerMember* const worker = members_->FindWorker(event.session, record_->id);
  if (worker == nullptr || event.seconds <= 0.0) return;
  const double speed =
      static_cast<double>(lease->leaves.size() * PhaseHere().leaf_samples()) / event.seconds;
  double& smoothed = worker->samples_per_second;
  smoothed = smoothed > 0.0 ? 0.7 * smoothed + 0.3 * speed : speed;
}

void JobRun::OnLeaseFailed(const LeaseFailed& event, Turn* turn) {
  if (!FenceHolds(event.fence, turn) || phase_ != Phase::kCollecting || leases_ == nullptr ||
      event.fence.step != record_->version) {
    return;
  }
  // A report spoils the step of everybody, so only who was given the leaf may make it.
  const auto live = leases_->live().find(event.lease);
  if (live == leases_->live().end() || live->second.worker != event.session ||
      event.leaf < live->second.leaves.begin || event.leaf >= live->second.leaves.end) {
    Count(CountEvent::What::kRefusedLease, 1, turn);
    return;
  }
  if (!skip_reason_.empty()) return;  // The first one names the culprit.
  const WorkerMember* const worker = members_->FindWorker(event.session, record_->id);
  if (worker == nullptr) return;  // Another job's by now.
  const std::string& name = worker->name;
  skip_reason_ = fmt::format("leaf {} of step {}: {} in tensor {} (worker/{})", event.leaf,
                             event.fence.step, event.what, event.tensor, name);
  Log(LogSeverity::kWarning, "worker/" + name, skip_reason_, turn);
}

void JobRun::OnLeaseReturned(const LeaseReturned& event, Turn* turn) {
  if (!FenceHolds(event.fence, turn)) return;
  std::optional<LeafRange> returned;
  if (leases_ && event.fence.step == record_->version) {
    returned = leases_->Shorten(event.lease, event.session, event.leaf_begin);
  }
  if (!returned) return Count(CountEvent::What::kRefusedLease, 1, turn);
  if (!leases_->live().contains(event.lease)) Count(CountEvent::What::kLeaseReturned, 1, turn);
  const WorkerMember* const worker = members_->FindWorker(event.session, record_->id);
  Log(LogSeverity::kInfo, "worker/" + (worker == nullptr ? std::string() : worker->name),
      fmt::format("gave leaves [{}, {}) of lease {} back", returned->begin, returned->end,
                  event.lease),
      turn);
}

void JobRun::RemindWorkers(Turn* turn) {
  for (WorkerMember* const worker : members_->WorkersOf(record_->id)) {
    bool working = false;
    for (const LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
      if (table == nullptr) continue;
      for (const auto& [id, lease] : table->live()) working |= lease.worker == worker->session;
    }
    if (working || worker->refused || worker->leaving || turn->now - worker->heard < kSilenceMax) {
      continue;
    }
    worker->heard = turn->now;
    SendAssignment(*worker, turn);
  }
}

void JobRun::SendAssignment(const WorkerMember& worker, Turn* turn) {
  AssignmentOrder order{record_->id, record_->epoch, {}, record_->version};
  if (phase_ == Phase::kCollecting || phase_ == Phase::kMeasuring || phase_ == Phase::kApplying) {
    for (uint32_t index = 0; index < record_->placement.size(); ++index) {
      const ShardMember* shard = members_->FindShard(record_->placement[index].shard);
      if (shard == nullptr) return;  // Its loss is being dealt with; a new assignment follows.
      order.shards.push_back({index, shard->name, shard->address, shard->incarnation,
                              record_->placement[index].blocks});
    }
  }
  turn->actions.push_back(SendToWorker{worker.session, std::move(order)});
}

// Nothing can be done without a worker that may serve: reason and message tell whom the job waits
// for, and why those that are there do not help. It ends by itself when one comes.
void JobRun::SayWhoIsMissing(Turn* turn) {
  if (phase_ != Phase::kCollecting || stopping_ != Stopping::kNo) return;
  std::string reason;
  std::string message;
  const std::vector<WorkerMember*> workers = members_->WorkersOf(record_->id);
  if (workers.empty()) {
    reason = "WAITING_FOR_WORKERS";
    message = members_->workers.empty() ? "no worker is there" : "no worker is free";
  } else if (std::all_of(workers.begin(), workers.end(),
                         [](const WorkerMember* worker) { return worker->refused; })) {
    reason = "ALL_WORKERS_REFUSED";
    message = fmt::format("none of {} workers may serve the job; worker/{}: {}", workers.size(),
                          workers.front()->name, workers.front()->refusal);
  }
  if (record_->reason == reason && record_->message == message) return;
  if (!reason.empty()) Log(LogSeverity::kWarning, "coordinator", message, turn);
  SetState(record_->state, reason, message, turn);
}

}  // namespace drover
