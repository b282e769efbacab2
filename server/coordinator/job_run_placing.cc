#include <fmt/format.h>

#include <algorithm>

#include "server/coordinator/job_run.h"

namespace drover {
namespace {

using std::chrono::seconds;

// How long a placed shard may stay away before its blocks are given to those that are there.
constexpr Duration kShardPatience = seconds(20);
constexpr int kGoingBackMax = 3;

}  // namespace

bool JobRun::PlacedShardsAreHere() const {
  return !record_->placement.empty() &&
         std::all_of(
             record_->placement.begin(), record_->placement.end(),
             [this](const Placement& p) { return members_->FindShard(p.shard) != nullptr; });
}

// For people: how many are there, and which of the placed ones are not.
std::string JobRun::WhichShardsAreMissing() const {
  std::string text =
      fmt::format("{} of {} shards are there", members_->shards.size(),
                  std::max<size_t>({shards_min_, record_->placement.size(), size_t{1}}));
  for (const Placement& placement : record_->placement) {
    if (members_->FindShard(placement.shard) != nullptr) continue;
    const auto why = gone_.find(placement.shard);
    text += fmt::format("; waiting for shard/{} ({})", placement.shard,
                        why == gone_.end() ? "it has not come yet" : "lost: " + why->second);
  }
  return text;
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
    const std::string message = WhichShardsAreMissing();
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
        fmt::format("{} workers serve the job, none has described the model",
                    members_->WorkersOf(record_->id).size());
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
  AbandonSaving(turn);
  skip_reason_.clear();
  gone_.clear();
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
  order.shapes = record_->plan.shapes();
  order.fraction_bits = record_->plan.fraction_bits;
  order.seed = record_->plan.seed;
  order.rule = StateOf(record_->plan.optimizer);
  order.origin = NewestOrigin();
  order.publish_bf16 = record_->plan.bf16;
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
    if (discard_next_) {
      record_->checkpoints.pop_back();
      Count(CountEvent::What::kCheckpointQuarantined, 1, turn);
    }
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
  const int64_t samples_lost =
      record_->plan.SamplesBefore(record_->version) - record_->plan.SamplesBefore(origin.version);
  if (samples_lost > 0) {
    Count(CountEvent::What::kDiscardedRolledBack, static_cast<double>(samples_lost), turn);
  }
  record_->version = origin.version;
  record_->applied = fresh ? 0 : record_->checkpoints.back().applied;
  record_->ledger = fresh ? Ledger{} : record_->checkpoints.back().ledger;
  record_->schedule = fresh ? ScheduleState{} : record_->checkpoints.back().schedule;
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
  const uint32_t leaves = static_cast<uint32_t>(PhaseHere().leaves);
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
  for (WorkerMember* worker : members_->WorkersOf(record_->id)) {
    worker->idle = false;
    worker->heard = turn->now;
    if (!worker->refused) SendAssignment(*worker, turn);
  }
}

}  // namespace drover
