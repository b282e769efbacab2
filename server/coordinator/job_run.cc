#include "server/coordinator/job_run.h"

#include <fmt/format.h>

namespace drover {
namespace {

using std::chrono::seconds;

constexpr Duration kRemindAfter = seconds(1);
// All leaves are acknowledged, yet some shard does not vote: its state is asked for again.
constexpr Duration kVotePatience = seconds(5);

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
}

size_t JobRun::open_leases() const {
  return (leases_ ? leases_->live().size() : 0) +
         (evaluation_.pieces ? evaluation_.pieces->live().size() : 0);
}

size_t JobRun::overdue_leases(Instant now) const {
  size_t count = 0;
  for (const LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
    if (table == nullptr) continue;
    for (const auto& [id, lease] : table->live()) count += now >= lease.overdue ? 1 : 0;
  }
  return count;
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
  gone_[shard.name] = reason;
  if (phase_ == Phase::kWaiting) return;
  if (!cause_ || phase_ != Phase::kPlacing) cause_ = CountEvent::What::kTakeoverShard;
  phase_ = Phase::kWaiting;
  phase_since_ = turn->now;
  leases_.reset();
  evaluation_ = {};
  AbandonSaving(turn);
  if (stopping_ == Stopping::kNo) {
    SetState(JobState::kRecovering, "WAITING_FOR_SHARDS", WhichShardsAreMissing(), turn);
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

// ---- Time.

void JobRun::Remind(Turn* turn) {
  for (LeaseTable* table : {leases_.get(), evaluation_.pieces.get()}) {
    if (table == nullptr) continue;
    for (const LeaseTable::Lease& lease : table->Expire(turn->now)) {
      const auto found = members_->workers.find(lease.worker);
      const std::string name = found == members_->workers.end() ? "?" : found->second.name;
      EndLeases(*table, {lease}, CountEvent::What::kLeaseExpired,
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
  SayWhoIsMissing(turn);
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
