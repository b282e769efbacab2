#include "server/coordinator/job_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/optim/rule.h"

namespace drover {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

// How long a placed shard may stay away before its blocks are given to those that are there.
constexpr Duration kShardPatience = seconds(20);
constexpr Duration kRemindAfter = seconds(1);
// All leaves are acknowledged, yet some shard does not vote: its state is asked for again.
constexpr Duration kVotePatience = seconds(5);
constexpr Duration kLeaseTimeMin = seconds(10);
constexpr Duration kLeaseTimeUnmeasured = seconds(120);
constexpr Duration kOverdueMin = seconds(1);
// A worker that asks for work has given up a lease this old; a younger one crossed its request.
constexpr Duration kCrossing = seconds(3);
constexpr int kGoingBackMax = 3;
constexpr Duration kPullPatience = seconds(2);
// A worker without a lease that has been silent for this long is assigned again.
constexpr Duration kSilenceMax = seconds(6);

}  // namespace

JobRun::JobRun(JobRecord* record, Members* members, uint32_t shards_min,
               const std::string& checkpoint_directory, bool restored, Turn* turn)
    : record_(record),
      members_(members),
      shards_min_(shards_min),
      checkpoint_directory_(checkpoint_directory),
      phase_since_(turn->now),
      reminded_(turn->now),
      run_since_(turn->now) {
  if (record_->state == JobState::kSuspending) stopping_ = Stopping::kSuspend;
  if (record_->state == JobState::kCancelling) stopping_ = Stopping::kCancel;
  if (restored) {
    cause_ = CountEvent::What::kTakeoverCoordinator;
  } else if (record_->version > 0) {
    cause_ = CountEvent::What::kTakeoverSuspend;
  }
  if (stopping_ == Stopping::kNo) {
    SetState(restored ? JobState::kRecovering : JobState::kStarting, "", "", turn);
  }
  for (auto& [session, worker] : members_->workers) OnWorkerJoined(&worker, turn);
}

size_t JobRun::open_leases() const {
  return (leases_ ? leases_->live().size() : 0) +
         (evaluation_.pieces ? evaluation_.pieces->live().size() : 0);
}

// ---- Workers.

void JobRun::OnWorkerJoined(WorkerMember* worker, Turn* turn) {
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
    EndLeases(table->ReleaseWorker(worker.session), CountEvent::What::kLeaseWorkerLost,
              "worker/" + worker.name + " is gone", turn);
  }
}

void JobRun::OnDescribed(const ModelDescribed& event, Turn* turn) {
  const auto found = members_->workers.find(event.session);
  if (found == members_->workers.end() || event.job != record_->id) return;
  WorkerMember& worker = found->second;
  worker.heard = turn->now;
  std::string refusal = event.error;
  if (refusal.empty() && record_->layout == nullptr) {
    record_->layout = event.layout;
    record_->train_samples = event.train_samples;
    record_->eval_samples = event.eval_samples;
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
  } else if (refusal.empty() && worker.numeric_class != record_->numeric_class &&
             !record_->plan.mixed) {
    refusal = fmt::format(
        "its numeric class is \"{}\", the job's is \"{}\"; set "
        "numerics.mixed: true if other bits are acceptable",
        worker.numeric_class, record_->numeric_class);
    Count(CountEvent::What::kRefusedNumericClass, 1, turn);
  }
  worker.described = refusal.empty();
  worker.refused = !refusal.empty();
  worker.refusal = refusal;
  if (!worker.refused) return;
  Log(LogSeverity::kError, "worker/" + worker.name, "cannot serve the job: " + refusal, turn);
  turn->actions.push_back(SendToWorker{worker.session, UnassignOrder{record_->id}});
  const bool nobody = std::all_of(members_->workers.begin(), members_->workers.end(),
                                  [](const auto& entry) { return entry.second.refused; });
  if (nobody && record_->layout == nullptr) Fail("NO_WORKER_CAN_SERVE", refusal, turn);
}

void JobRun::OnWorkRequested(const WorkRequested& event, Turn* turn) {
  const auto found = members_->workers.find(event.session);
  if (found == members_->workers.end() || !FenceHolds(event.fence, turn)) return;
  WorkerMember& worker = found->second;
  worker.heard = turn->now;
  if (!worker.described || worker.refused || worker.leaving) return;
  for (LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
    if (table == nullptr) continue;
    for (const auto& [id, lease] : table->live()) {
      if (lease.worker != worker.session) continue;
      if (turn->now - lease.granted < kCrossing) return;
      EndLeases(table->ReleaseWorker(worker.session), CountEvent::What::kLeaseExpired,
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
  if (leases_ && event.fence.step == record_->version) {
    lease = leases_->Done(event.lease, event.session);
  }
  if (!lease) {
    Count(CountEvent::What::kRefusedLease, 1, turn);
    return;
  }
  Count(CountEvent::What::kLeaseDone, event.seconds, turn);
  const auto found = members_->workers.find(event.session);
  if (found == members_->workers.end() || event.seconds <= 0.0) return;
  const double speed =
      static_cast<double>(lease->leaves.size() * record_->plan.leaf_samples()) / event.seconds;
  double& smoothed = found->second.samples_per_second;
  smoothed = smoothed > 0.0 ? 0.7 * smoothed + 0.3 * speed : speed;
}

void JobRun::OnLeaseFailed(const LeaseFailed& event, Turn* turn) {
  if (!FenceHolds(event.fence, turn) || phase_ != Phase::kCollecting || step_ == nullptr ||
      event.fence.step != record_->version) {
    return;
  }
  if (!skip_reason_.empty()) return;  // The first one names the culprit.
  const auto found = members_->workers.find(event.session);
  const std::string name = found == members_->workers.end() ? "?" : found->second.name;
  skip_reason_ = fmt::format("leaf {} of step {}: {} in tensor {} (worker/{})", event.leaf,
                             event.fence.step, event.what, event.tensor, name);
  Log(LogSeverity::kWarning, "worker/" + name, skip_reason_, turn);
}

// ---- Shards.

std::optional<uint32_t> JobRun::SlotOf(const std::string& shard) const {
  for (size_t index = 0; index < record_->placement.size(); ++index) {
    if (record_->placement[index].shard == shard) return static_cast<uint32_t>(index);
  }
  return std::nullopt;
}

void JobRun::OnShardGone(const ShardMember& shard, const std::string& reason, Turn* turn) {
  if (!SlotOf(shard.name) || phase_ == Phase::kOver) return;
  Log(LogSeverity::kWarning, "shard/" + shard.name, "lost: " + reason, turn);
  if (phase_ == Phase::kWaiting) return;
  if (!cause_ || phase_ != Phase::kPlacing) cause_ = CountEvent::What::kTakeoverShard;
  phase_ = Phase::kWaiting;
  phase_since_ = turn->now;
  leases_.reset();
  evaluation_ = {};
  saving_.reset();
  if (stopping_ == Stopping::kNo) {
    SetState(JobState::kRecovering, "WAITING_FOR_SHARDS",
             fmt::format("shard {} is gone ({}); waiting for it to come back", shard.name, reason),
             turn);
  }
}

void JobRun::OnShardReply(const std::string& shard, const ShardReply& reply, Turn* turn) {
  const std::optional<uint32_t> index = SlotOf(shard);
  const Fence fence = std::visit([](const auto& r) { return r.fence; }, reply);
  if (!index || *index >= slots_.size() || !FenceHolds(fence, turn)) return;
  if (const auto* placed = std::get_if<PlacedReply>(&reply)) {
    if (phase_ == Phase::kPlacing) OnPlaced(*index, *placed, turn);
  } else if (const auto* prepared = std::get_if<PreparedReply>(&reply)) {
    if (fence.step != record_->version) return;
    if (phase_ == Phase::kPlacing) slots_[*index].early_vote = *prepared;
    if (phase_ != Phase::kCollecting || step_ == nullptr) return;
    const Status added = step_->AddPrepared(*index, *prepared);
    if (!added.ok()) Fail("LEDGER_MISMATCH", added.message(), turn);
  } else if (const auto* measured = std::get_if<MeasuredReply>(&reply)) {
    if (phase_ != Phase::kMeasuring || fence.step != record_->version) return;
    const Status added = step_->AddMeasured(*index, *measured);
    if (!added.ok()) Fail("LEDGER_MISMATCH", added.message(), turn);
  } else if (std::get_if<AppliedReply>(&reply) != nullptr) {
    if (phase_ == Phase::kApplying && fence.step == step_->step()) step_->AddApplied(*index);
    if (phase_ == Phase::kPlacing && fence.step + 1 == record_->version) {
      slots_[*index].current = true;
    }
  } else if (const auto* written = std::get_if<CheckpointWrittenReply>(&reply)) {
    OnCheckpointWritten(*index, *written, turn);
  }
}

// ---- Waiting and placing.

bool JobRun::PlacedShardsAreHere() const {
  return !record_->placement.empty() &&
         std::all_of(
             record_->placement.begin(), record_->placement.end(),
             [this](const Placement& p) { return members_->FindShard(p.shard) != nullptr; });
}

Origin JobRun::NewestOrigin() const {
  if (record_->checkpoints.empty()) return {};
  return {record_->checkpoints.back().path, record_->checkpoints.back().version};
}

// Which blocks belong to whom. The old placement while its shards are there; else a new one over
// all shards that are, which then start from the newest checkpoint.
bool JobRun::ChoosePlacement(Turn* turn) {
  const bool too_few_placed = record_->placement.size() < shards_min_ &&
                              record_->placement.size() < record_->layout->block_count();
  if (PlacedShardsAreHere() && !too_few_placed) return true;
  const bool may_come_back = !record_->placement.empty() && !PlacedShardsAreHere() &&
                             turn->now - phase_since_ < kShardPatience;
  if (members_->shards.size() < shards_min_ || may_come_back) {
    const std::string message = fmt::format("{} of {} shards are there", members_->shards.size(),
                                            std::max<size_t>(shards_min_, 1));
    if (stopping_ == Stopping::kNo && record_->message != message) {
      SetState(record_->state, "WAITING_FOR_SHARDS", message, turn);
    }
    return false;
  }
  if (!record_->placement.empty()) GoBack("its shards have changed", turn);
  if (phase_ == Phase::kOver) return false;
  std::vector<std::string> names;
  for (const auto& [session, shard] : members_->shards) names.push_back(shard.name);
  std::sort(names.begin(), names.end());
  const std::vector<BlockRange> ranges =
      record_->layout->Place(static_cast<uint32_t>(names.size()));
  record_->placement.clear();
  for (size_t i = 0; i < names.size(); ++i) {
    if (ranges[i].size() > 0) record_->placement.push_back({names[i], ranges[i]});
  }
  discard_next_ = true;
  return true;
}

void JobRun::TryPlace(Turn* turn) {
  if (record_->layout == nullptr) {
    const std::string message =
        fmt::format("{} workers are there, none has described the model", members_->workers.size());
    if (stopping_ == Stopping::kNo && record_->message != message) {
      SetState(record_->state, "WAITING_FOR_WORKERS", message, turn);
    }
    return;
  }
  if (ChoosePlacement(turn)) Place(turn);
}

void JobRun::Place(Turn* turn) {
  turn->actions.push_back(RaiseEpoch{record_->id, record_->epoch, record_->epoch + 1});
  ++record_->epoch;
  if (cause_) Count(*cause_, 1, turn);
  phase_ = Phase::kPlacing;
  phase_since_ = turn->now;
  reminded_ = turn->now;
  step_.reset();
  outcome_.reset();
  leases_.reset();
  evaluation_ = {};
  saving_.reset();
  skip_reason_.clear();
  leaves_done_at_.reset();
  std::vector<ShardSlot> before = std::move(slots_);
  slots_.assign(record_->placement.size(), {});
  for (uint32_t index = 0; index < slots_.size(); ++index) {
    const ShardMember* shard = members_->FindShard(record_->placement[index].shard);
    slots_[index].incarnation = shard->incarnation;
    const bool known = before.size() == slots_.size() && before[index].incarnation != 0;
    if (known && before[index].incarnation != shard->incarnation) ++record_->shards_restarted;
  }
  turn->actions.push_back(SaveJob{*record_});
  for (uint32_t index = 0; index < slots_.size(); ++index) SendPlace(index, turn);
}

void JobRun::SendPlace(uint32_t index, Turn* turn) {
  const ShardMember* shard = members_->FindShard(record_->placement[index].shard);
  if (shard == nullptr) return;
  PlaceOrder order;
  order.job = record_->id;
  order.epoch = record_->epoch;
  order.shard_index = index;
  order.shard_count = static_cast<uint32_t>(slots_.size());
  order.layout = record_->layout;
  order.blocks = record_->placement[index].blocks;
  order.leaves = static_cast<uint32_t>(record_->plan.leaves);
  order.batch = record_->plan.batch;
  order.fraction_bits = record_->plan.fraction_bits;
  order.seed = record_->plan.seed;
  order.rule = record_->plan.optimizer.rule;
  order.origin = NewestOrigin();
  order.discard = discard_next_;
  turn->actions.push_back(SendToShard{shard->session, std::move(order)});
}

void JobRun::OnPlaced(uint32_t index, const PlacedReply& reply, Turn* turn) {
  ShardSlot& slot = slots_[index];
  const std::string& name = record_->placement[index].shard;
  if (!reply.error.empty()) {
    Log(LogSeverity::kError, "shard/" + name, "cannot take its blocks: " + reply.error, turn);
    if (discard_next_ && record_->checkpoints.empty()) {
      Fail("SHARD_CANNOT_SERVE", fmt::format("shard {}: {}", name, reply.error), turn);
      return;
    }
    // What it could not start from was the newest checkpoint: the one before is next.
    if (discard_next_) record_->checkpoints.pop_back();
    GoBack(fmt::format("shard {} cannot restore: {}", name, reply.error), turn);
    return;
  }
  slot.placed = reply;
  const int64_t version = reply.fence.step;
  if (version == record_->version) {
    slot.current = true;
  } else if (version == record_->version - 1 && record_->last_commit &&
             (reply.prepared || record_->last_commit->skip)) {
    CommitOrder commit = *record_->last_commit;
    commit.fence.epoch = record_->epoch;
    const ShardMember* shard = members_->FindShard(name);
    if (shard != nullptr) turn->actions.push_back(SendToShard{shard->session, std::move(commit)});
  } else {
    GoBack(
        fmt::format("shard {} holds version {}, the job is at {}", name, version, record_->version),
        turn);
  }
}

// Back to the newest checkpoint, or to the beginning: the steps since are computed again, to the
// same bits.
void JobRun::GoBack(const std::string& why, Turn* turn) {
  if (++going_back_ > kGoingBackMax) {
    Fail("CANNOT_RESTORE", why, turn);
    return;
  }
  const Origin origin = NewestOrigin();
  Log(LogSeverity::kWarning, "coordinator",
      fmt::format("{}: going back from version {} to {}", why, record_->version, origin.version),
      turn);
  const bool fresh = record_->checkpoints.empty();
  record_->version = origin.version;
  record_->applied = fresh ? 0 : record_->checkpoints.back().applied;
  record_->ledger = fresh ? Ledger{} : record_->checkpoints.back().ledger;
  record_->last_commit.reset();
  record_->consecutive_skips = 0;
  turn->actions.push_back(SaveJob{*record_});
  discard_next_ = true;
  cause_ = CountEvent::What::kTakeoverCheckpoint;
  phase_ = Phase::kWaiting;
  phase_since_ = turn->now;
}

void JobRun::TryFinishPlacing(Turn* turn) {
  const bool all = std::all_of(slots_.begin(), slots_.end(), [](const ShardSlot& slot) {
    return slot.placed.has_value() && slot.current;
  });
  if (!all) return;
  const uint32_t leaves = static_cast<uint32_t>(record_->plan.leaves);
  LeafSet done(leaves);
  done.Add({0, leaves});
  for (const ShardSlot& slot : slots_) {
    if (slot.placed->fence.step != record_->version) {
      done.Clear();  // It has just applied the step before, so it holds nothing of this one.
    } else if (!slot.placed->prepared) {
      done.IntersectWith(LeafSet::FromWords(leaves, slot.placed->leaves));
    }
  }
  // What a chunk holds beyond `done` is not known, so ranges might overlap it in part.
  const bool singles = !discard_next_;
  discard_next_ = false;
  cause_.reset();
  if (stopping_ == Stopping::kNo) SetState(JobState::kRunning, "", "", turn);
  Log(LogSeverity::kInfo, "coordinator",
      fmt::format("placed on {} shards: version {}, epoch {}, {} of {} leaves are in already",
                  slots_.size(), record_->version, record_->epoch, done.count(), leaves),
      turn);
  run_since_ = turn->now;
  last_commit_at_.reset();
  OpenStep(done, singles, turn);
  for (uint32_t index = 0; index < slots_.size(); ++index) {
    std::optional<PreparedReply> vote = std::move(slots_[index].early_vote);
    if (!vote || step_ == nullptr) continue;
    const Status added = step_->AddPrepared(index, *vote);
    if (!added.ok()) return Fail("LEDGER_MISMATCH", added.message(), turn);
  }
  for (auto& [session, worker] : members_->workers) {
    worker.idle = false;
    worker.heard = turn->now;
    if (!worker.refused) SendAssignment(worker, turn);
  }
}

// ---- A step.

void JobRun::OpenStep(const LeafSet& done, bool singles, Turn* turn) {
  phase_ = Phase::kCollecting;
  phase_since_ = turn->now;
  step_opened_ = turn->now;
  skip_reason_.clear();
  leaves_done_at_.reset();
  step_.reset();
  leases_.reset();
  if (record_->version < record_->plan.steps) {
    step_ = std::make_unique<StepCommit>(*record_);
    leases_ = std::make_unique<LeaseTable>(done, singles, last_lease_);
    last_lease_ = leases_->last_id();
  }
  saving_failures_ = 0;
  if (EvaluationDue()) BeginEvaluation();
  if (CheckpointDue()) BeginSaving(turn);
}

void JobRun::TryFinishCollecting(Turn* turn) {
  if (step_ == nullptr || EvaluationPending() || stopping_ != Stopping::kNo) return;
  if (!skip_reason_.empty()) {
    ++record_->consecutive_skips;
    SendCommit(step_->Skip(Here(), skip_reason_), turn);
    return;
  }
  if (!step_->all_prepared()) return;
  prepared_at_ = turn->now;
  if (!InfoOf(record_->plan.optimizer.rule).trust_ratio) return Commit(turn);
  phase_ = Phase::kMeasuring;
  phase_since_ = turn->now;
  reminded_ = turn->now;
  SendToAllShards(MeasureOrder{Here(), step_->NumbersForMeasure()}, turn);
}

void JobRun::Commit(Turn* turn) {
  record_->consecutive_skips = 0;
  SendCommit(step_->Commit(Here(), &record_->ledger), turn);
}

void JobRun::SendCommit(StepCommit::Outcome outcome, Turn* turn) {
  StepSummary& summary = outcome.summary;
  summary.seconds = Seconds(turn->now - last_commit_at_.value_or(step_opened_));
  summary.collect_seconds = Seconds(prepared_at_ - step_opened_);
  summary.ratio_seconds = Seconds(turn->now - prepared_at_);
  last_commit_at_ = turn->now;
  record_->run_seconds += Seconds(turn->now - run_since_);
  run_since_ = turn->now;
  ++record_->version;
  record_->applied = summary.applied;
  record_->last_commit = outcome.commit;
  record_->last_step = summary;
  going_back_ = 0;
  for (size_t i = 0; i < leases_->live().size(); ++i) {
    Count(CountEvent::What::kLeaseSuperseded, 1, turn);
  }
  last_lease_ = leases_->last_id();
  leases_.reset();
  turn->actions.push_back(SaveCommit{*record_, outcome.commit, summary});
  SendToAllShards(outcome.commit, turn);
  outcome_ = std::move(outcome);
  phase_ = Phase::kApplying;
  phase_since_ = turn->now;
  reminded_ = turn->now;
}

void JobRun::FinishStep(Turn* turn) {
  const Fence stable = {record_->id, record_->epoch, step_->step()};
  SendToAllShards(StableOrder{stable}, turn);
  outcome_.reset();
  if (record_->consecutive_skips > 0 &&
      (record_->plan.fail_on_nonfinite ||
       record_->consecutive_skips > record_->plan.max_consecutive_skips)) {
    return Fail("NONFINITE_LIMIT",
                fmt::format("{} steps in a row were skipped; the last one: {}",
                            record_->consecutive_skips, record_->last_step->skip_reason),
                turn);
  }
  OpenStep(LeafSet(static_cast<uint32_t>(record_->plan.leaves)), /*singles=*/false, turn);
}

// ---- Work.

Duration JobRun::ExpectedTime(const WorkerMember& worker, double samples) const {
  const double speed = worker.samples_per_second;
  if (speed <= 0.0) return Duration(0);
  return duration_cast<Duration>(std::chrono::duration<double>(samples / speed));
}

void JobRun::Dispatch(Turn* turn) {
  if (phase_ != Phase::kCollecting || stopping_ != Stopping::kNo) return;
  for (auto& [session, worker] : members_->workers) {
    if (!worker.idle || worker.leaving || worker.refused || !worker.described) continue;
    if (worker.version != record_->version) {
      // Who holds the version before has the new one on its way already.
      const bool on_its_way =
          worker.version == record_->version - 1 && turn->now - phase_since_ < kPullPatience;
      if (on_its_way) continue;
      turn->actions.push_back(SendToWorker{session, PullOrder{Here()}});
      worker.idle = false;
    } else if (GiveWork(&worker, turn)) {
      worker.idle = false;
    }
  }
}

// Evaluation first, since the commit waits for it; then new leaves, half of this worker's share of
// what is left, so that leases shrink towards the end; then copies of what is overdue.
bool JobRun::GiveWork(WorkerMember* worker, Turn* turn) {
  const double share = members_->SpeedOf(*worker) / std::max(members_->TotalSpeed(), 1e-9);
  for (LeaseTable* table : {evaluation_.pieces.get(), leases_.get()}) {
    if (table == nullptr) continue;
    const bool evaluation = table == evaluation_.pieces.get();
    const double unit =
        static_cast<double>(evaluation ? record_->eval_samples : record_->plan.leaf_samples());
    const uint32_t open = table->open_count();
    const uint32_t half = static_cast<uint32_t>(static_cast<double>(open) * share / 2.0 + 0.999);
    const uint32_t count = std::min(open, std::max(half, std::max(worker->lanes, 1u)));
    const Duration expected = ExpectedTime(*worker, unit * std::max(count, 1u));
    const Instant overdue = turn->now + (expected.count() > 0 ? std::max(2 * expected, kOverdueMin)
                                                              : kLeaseTimeUnmeasured / 2);
    const Instant deadline =
        turn->now +
        (expected.count() > 0 ? std::max(4 * expected, kLeaseTimeMin) : kLeaseTimeUnmeasured);
    std::optional<LeaseTable::Lease> lease =
        table->Grant(worker->session, count, turn->now, overdue, deadline);
    if (!lease) lease = table->Copy(worker->session, turn->now, overdue, deadline);
    if (!lease) continue;
    if (evaluation) {
      SendEvalLease(*lease, worker, turn);
    } else {
      SendLease(*lease, worker, turn);
    }
    last_lease_ = std::max(last_lease_, table->last_id());
    return true;
  }
  return false;
}

void JobRun::SendLease(const LeaseTable::Lease& lease, WorkerMember* worker, Turn* turn) {
  const int64_t timeout_ms = duration_cast<milliseconds>(lease.deadline - turn->now).count();
  turn->actions.push_back(
      SendToWorker{worker->session, LeaseOrder{Here(), lease.id, lease.leaves, timeout_ms}});
  Count(lease.copy    ? CountEvent::What::kLeaseCopy
        : lease.again ? CountEvent::What::kLeaseAgain
                      : CountEvent::What::kLeaseFirst,
        lease.leaves.size(), turn);
}

void JobRun::EndLeases(const std::vector<LeaseTable::Lease>& ended, CountEvent::What what,
                       const std::string& why, Turn* turn) {
  for (const LeaseTable::Lease& lease : ended) {
    Count(what, 1, turn);
    Log(LogSeverity::kWarning, "coordinator",
        fmt::format("lease {} of leaves [{}, {}) ended: {}", lease.id, lease.leaves.begin,
                    lease.leaves.end, why),
        turn);
  }
}

// ---- Time.

void JobRun::Remind(Turn* turn) {
  for (LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
    if (table == nullptr) continue;
    for (const LeaseTable::Lease& lease : table->Expire(turn->now)) {
      const auto found = members_->workers.find(lease.worker);
      const std::string name = found == members_->workers.end() ? "?" : found->second.name;
      EndLeases({lease}, CountEvent::What::kLeaseExpired,
                fmt::format("no result of worker/{} after {:.1f} s", name,
                            Seconds(turn->now - lease.granted)),
                turn);
    }
  }
  if (turn->now - reminded_ < kRemindAfter) return;
  reminded_ = turn->now;
  RemindWorkers(turn);
  for (uint32_t index = 0; index < slots_.size(); ++index) {
    const ShardMember* shard = members_->FindShard(record_->placement[index].shard);
    if (shard == nullptr) continue;
    if (phase_ == Phase::kPlacing && !slots_[index].current) {
      SendPlace(index, turn);
    } else if (phase_ == Phase::kMeasuring && !step_->has_measured(index)) {
      turn->actions.push_back(
          SendToShard{shard->session, MeasureOrder{Here(), step_->NumbersForMeasure()}});
    } else if (phase_ == Phase::kApplying && !step_->has_applied(index)) {
      turn->actions.push_back(SendToShard{shard->session, outcome_->commit});
    }
  }
  if (phase_ == Phase::kCollecting && leases_ && leases_->all_done() && !step_->all_prepared()) {
    if (!leaves_done_at_) leaves_done_at_ = turn->now;
    if (turn->now - *leaves_done_at_ < kVotePatience) return;
    Log(LogSeverity::kWarning, "coordinator",
        "all leaves are acknowledged but not all shards vote: asking them for their state", turn);
    cause_ = CountEvent::What::kTakeoverShard;
    phase_ = Phase::kWaiting;
    phase_since_ = turn->now;
  }
}

void JobRun::RemindWorkers(Turn* turn) {
  for (auto& [session, worker] : members_->workers) {
    bool working = false;
    for (const LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
      if (table == nullptr) continue;
      for (const auto& [id, lease] : table->live()) working |= lease.worker == session;
    }
    if (working || worker.refused || worker.leaving || turn->now - worker.heard < kSilenceMax) {
      continue;
    }
    worker.heard = turn->now;
    SendAssignment(worker, turn);
  }
}

void JobRun::Advance(Turn* turn) {
  if (phase_ == Phase::kOver) return;
  Remind(turn);
  if (record_->plan.deadline_ms > 0 && stopping_ == Stopping::kNo &&
      (record_->run_seconds + Seconds(turn->now - run_since_)) * 1000.0 >
          static_cast<double>(record_->plan.deadline_ms)) {
    return Fail("DEADLINE", "the job has run for as long as its deadline allows", turn);
  }
  // Each pass may make the next one possible; a step cannot run through more than these.
  for (int pass = 0; pass < 6 && phase_ != Phase::kOver; ++pass) {
    const Phase before = phase_;
    if (phase_ == Phase::kWaiting) TryPlace(turn);
    if (phase_ == Phase::kPlacing) TryFinishPlacing(turn);
    if (phase_ == Phase::kCollecting) TryFinishEvaluation(turn);
    if (phase_ == Phase::kCollecting) TryFinishCollecting(turn);
    if (phase_ == Phase::kMeasuring && step_->all_measured()) Commit(turn);
    if (phase_ == Phase::kApplying && step_->all_applied()) FinishStep(turn);
    if (phase_ != Phase::kOver) TryEnd(turn);
    if (phase_ == before) break;
  }
  Dispatch(turn);
}

// ---- Small change.

void JobRun::SetState(JobState state, const std::string& reason, const std::string& message,
                      Turn* turn) {
  const bool changed = record_->state != state;
  record_->state = state;
  record_->reason = reason;
  record_->message = message;
  turn->actions.push_back(SaveJob{*record_});
  if (changed) turn->actions.push_back(StateEvent{record_->id, state});
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

void JobRun::SendToAllShards(const ShardOrder& order, Turn* turn) {
  for (const Placement& placement : record_->placement) {
    const ShardMember* shard = members_->FindShard(placement.shard);
    if (shard != nullptr) turn->actions.push_back(SendToShard{shard->session, order});
  }
}

void JobRun::Log(LogSeverity severity, const std::string& task, const std::string& text,
                 Turn* turn) {
  turn->actions.push_back(LogEvent{record_->id, severity, task, text});
}

void JobRun::Count(CountEvent::What what, double value, Turn* turn) {
  turn->actions.push_back(CountEvent{record_->id, what, value});
}

bool JobRun::FenceHolds(const Fence& fence, Turn* turn) {
  if (fence.job != record_->id) return false;
  if (fence.epoch == record_->epoch) return true;
  Count(CountEvent::What::kRefusedEpoch, 1, turn);
  return false;
}

}  // namespace drover
