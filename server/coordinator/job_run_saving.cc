// Evaluation, checkpoints and the end of a job's run. The steps are in job_run.cc.

#include <fmt/format.h>

#include <algorithm>

#include "server/checkpoint_file.h"
#include "server/coordinator/job_run.h"

namespace drover {
namespace {

constexpr int64_t kEvaluationPiecesMax = 64;
constexpr Duration kCheckpointPatience = std::chrono::seconds(60);
constexpr int kSavingTries = 3;
constexpr Duration kShardPatience = std::chrono::seconds(20);

// Samples of one piece: whole micro-batches, so that their sums do not depend on the leases.
int64_t PieceSamples(const JobRecord& record) {
  const int64_t micro_batch = record.plan.PhaseAt(record.version).micro_batch;
  const int64_t micro_batches = (record.eval_samples + micro_batch - 1) / micro_batch;
  return (micro_batches + kEvaluationPiecesMax - 1) / kEvaluationPiecesMax * micro_batch;
}

}  // namespace

// ---- Evaluation.

bool JobRun::EvaluationDue() const {
  const int64_t version = record_->version;
  const int64_t every = record_->plan.evaluation_every_steps;
  const bool due =
      version == record_->plan.steps || (every > 0 && version > 0 && version % every == 0);
  // Going back to a checkpoint may have taken the evaluation out of the schedule again.
  const bool have = record_->last_eval && record_->last_eval->version == version &&
                    !PlateauLacks(*record_, version);
  return due && !have && record_->eval_samples > 0 && stopping_ == Stopping::kNo;
}

void JobRun::BeginEvaluation() {
  const int64_t piece = PieceSamples(*record_);
  const uint32_t pieces = static_cast<uint32_t>((record_->eval_samples + piece - 1) / piece);
  evaluation_ = {};
  evaluation_.pieces =
      std::make_unique<LeaseTable>(LeafSet(pieces), /*singles=*/false, last_lease_);
}

void JobRun::SendEvalLease(const LeaseTable::Lease& lease, WorkerMember* worker, Turn* turn) {
  const int64_t piece = PieceSamples(*record_);
  const int64_t begin = lease.leaves.begin * piece;
  const int64_t end = std::min<int64_t>(lease.leaves.end * piece, record_->eval_samples);
  const int64_t timeout_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(lease.deadline - turn->now).count();
  turn->actions.push_back(
      SendToWorker{worker->session, EvalLeaseOrder{Here(), lease.id, begin, end, timeout_ms}});
}

void JobRun::OnEvalDone(const EvalDone& event, Turn* turn) {
  if (!FenceHolds(event.fence, turn)) return;
  std::optional<LeaseTable::Lease> lease;
  if (evaluation_.pieces && event.fence.step == record_->version) {
    const auto found = evaluation_.pieces->live().find(event.lease);
    // A copy of a piece that is done already must not be added again.
    const bool first = found != evaluation_.pieces->live().end() &&
                       evaluation_.pieces->NeedsResult(found->second.leaves);
    lease = evaluation_.pieces->Done(event.lease, event.session);
    if (!first) lease.reset();
  }
  if (!lease) {
    Count(CountEvent::What::kRefusedLease, 1, turn);
    return;
  }
  evaluation_.loss_fixed += event.loss_fixed;
  evaluation_.correct += event.correct;
  evaluation_.samples += event.samples;
  evaluation_.masked_loss_fixed += event.masked_loss_fixed;
  evaluation_.masked_tokens += event.masked_tokens;
  evaluation_.masked_correct += event.masked_correct;
}

void JobRun::TryFinishEvaluation(Turn* turn) {
  if (!EvaluationPending() || !evaluation_.pieces->all_done()) return;
  last_lease_ = std::max(last_lease_, evaluation_.pieces->last_id());
  const Evaluation done = std::move(evaluation_);
  evaluation_ = {};
  if (done.samples != record_->eval_samples) {
    return Fail("LEDGER_MISMATCH",
                fmt::format("evaluation of version {} counted {} samples, expected {}",
                            record_->version, done.samples, record_->eval_samples),
                turn);
  }
  const double samples = static_cast<double>(done.samples);
  EvalSummary summary = {record_->version,
                         static_cast<double>(done.loss_fixed) * kLossUnit / samples,
                         static_cast<double>(done.correct) / samples, done.samples};
  if (done.masked_tokens > 0) {
    const double tokens = static_cast<double>(done.masked_tokens);
    summary.masked_loss = static_cast<double>(done.masked_loss_fixed) * kLossUnit / tokens;
    summary.masked_accuracy = static_cast<double>(done.masked_correct) / tokens;
    summary.masked_tokens = done.masked_tokens;
  }
  CountEvaluation(summary, record_);
  if (step_ != nullptr) step_->SetLearningRate(LearningRateOf(*record_));
  turn->actions.push_back(SaveJob{*record_});
  turn->actions.push_back(EvalEvent{record_->id, summary});
}

// ---- Checkpoints.

bool JobRun::CheckpointDue() const {
  const int64_t version = record_->version;
  const int64_t every = record_->plan.checkpoint_every_steps;
  const bool due =
      version == record_->plan.steps || (every > 0 && version > 0 && version % every == 0);
  const bool have = !record_->checkpoints.empty() && record_->checkpoints.back().version == version;
  return due && !have;
}

void JobRun::BeginSaving(Turn* turn) {
  Saving saving;
  saving.version = record_->version;
  saving.applied = record_->applied;
  saving.ledger = record_->ledger;
  saving.schedule = record_->schedule;
  saving.directory = fmt::format("{}/{:016x}/ckpt/{}{:016d}-{}", checkpoint_directory_, record_->id,
                                 kStagingPrefix, record_->version, record_->epoch);
  saving.parts.resize(slots_.size());
  saving.started = turn->now;
  turn->actions.push_back(MakeCheckpointFolder{record_->id, saving.directory});
  SendToAllShards(WriteCheckpointOrder{Here(), saving.directory}, turn);
  saving_ = std::move(saving);
}

void JobRun::OnCheckpointWritten(uint32_t index, const CheckpointWrittenReply& reply, Turn* turn) {
  if (!saving_ || saving_->committing || reply.fence.step != saving_->version) return;
  if (!reply.error.empty()) {
    return SavingFailed(fmt::format("shard {}: {}", record_->placement[index].shard, reply.error),
                        turn);
  }
  saving_->parts[index] = reply;
  const bool all = std::all_of(saving_->parts.begin(), saving_->parts.end(),
                               [](const auto& part) { return part.has_value(); });
  if (!all) return;
  CommitManifest manifest{*record_,
                          saving_->version,
                          saving_->applied,
                          saving_->ledger,
                          saving_->schedule,
                          saving_->directory,
                          {}};
  for (size_t i = 0; i < saving_->parts.size(); ++i) {
    const CheckpointWrittenReply& part = *saving_->parts[i];
    manifest.files.push_back({part.file, part.bytes, part.xxh3, record_->placement[i].blocks});
  }
  saving_->committing = true;
  turn->actions.push_back(std::move(manifest));
}

void JobRun::OnManifest(const ManifestCommitted& event, Turn* turn) {
  if (!event.error.empty()) {
    if (saving_ && saving_->version == event.checkpoint.version) {
      SavingFailed(event.error, turn);
    } else {
      Count(CountEvent::What::kCheckpointError, 1, turn);
    }
    return;
  }
  // Also one that a takeover has abandoned meanwhile: the same version has the same bits.
  if (saving_ && saving_->version == event.checkpoint.version) saving_.reset();
  saving_failures_ = 0;
  if (event.checkpoint.version > record_->version) return;
  std::erase_if(record_->checkpoints, [&](const CheckpointRecord& checkpoint) {
    return checkpoint.version >= event.checkpoint.version;
  });
  record_->checkpoints.push_back(event.checkpoint);
  const size_t keep = static_cast<size_t>(std::max<int64_t>(record_->plan.checkpoint_keep, 2));
  while (record_->checkpoints.size() > keep)
    record_->checkpoints.erase(record_->checkpoints.begin());
  turn->actions.push_back(SaveCheckpoint{event.checkpoint, record_->id});
  turn->actions.push_back(SaveJob{*record_});
}

void JobRun::SavingFailed(const std::string& why, Turn* turn) {
  Log(LogSeverity::kError, "coordinator",
      fmt::format("checkpoint of version {} abandoned: {}", saving_->version, why), turn);
  Count(CountEvent::What::kCheckpointError, 1, turn);
  saving_.reset();
  ++saving_failures_;
}

// A takeover begins, or the job ends. One that is being committed will be all the same.
void JobRun::AbandonSaving(Turn* turn) {
  if (saving_ && !saving_->committing) Count(CountEvent::What::kCheckpointAbandoned, 1, turn);
  saving_.reset();
}

// ---- The end.

void JobRun::Suspend(Turn* turn) {
  if (stopping_ != Stopping::kNo) return;
  stopping_ = Stopping::kSuspend;
  SetState(JobState::kSuspending, "", "saving the last committed step", turn);
}

void JobRun::Cancel(Turn* turn) {
  if (stopping_ == Stopping::kCancel) return;
  stopping_ = Stopping::kCancel;
  SetState(JobState::kCancelling, "", "saving the last committed step", turn);
}

void JobRun::TryEnd(Turn* turn) {
  if (saving_ && !saving_->committing && turn->now - saving_->started > kCheckpointPatience) {
    SavingFailed(
        fmt::format("not all shards answered within {:.0f} s", Seconds(kCheckpointPatience)), turn);
  }
  const bool complete = record_->version == record_->plan.steps;
  if (!complete && stopping_ == Stopping::kNo) return;
  if (phase_ == Phase::kMeasuring || phase_ == Phase::kApplying || saving_) return;
  if (complete && stopping_ == Stopping::kNo && EvaluationPending()) return;
  if (complete && phase_ != Phase::kCollecting) return;
  // Shards that are on their way may still save what was committed since the last checkpoint.
  const bool on_its_way =
      phase_ == Phase::kPlacing || (phase_ == Phase::kWaiting && record_->version > 0 &&
                                    turn->now - phase_since_ < kShardPatience);
  if (on_its_way) return;
  const bool saved =
      record_->version == 0 ||
      (!record_->checkpoints.empty() && record_->checkpoints.back().version == record_->version);
  if (!saved && phase_ == Phase::kCollecting && saving_failures_ < kSavingTries) {
    return BeginSaving(turn);
  }
  const std::string unsaved =
      saved ? "" : fmt::format("version {} could not be saved", record_->version);
  if (stopping_ == Stopping::kSuspend) return End(JobState::kSuspended, "", unsaved, turn);
  if (stopping_ == Stopping::kCancel) return End(JobState::kCancelled, "", unsaved, turn);
  if (!saved) return Fail("STORAGE", unsaved, turn);
  const std::optional<double>& target = record_->plan.target_accuracy;
  if (target && (!record_->last_eval || record_->last_eval->accuracy < *target)) {
    return Fail("TARGET_NOT_MET",
                fmt::format("accuracy {:.4f} is below the target of {:.4f}",
                            record_->last_eval ? record_->last_eval->accuracy : 0.0, *target),
                turn);
  }
  End(JobState::kSucceeded, "", "", turn);
}

void JobRun::End(JobState state, const std::string& reason, const std::string& message,
                 Turn* turn) {
  if (state == JobState::kSuspended && !record_->checkpoints.empty()) {
    record_->version = record_->checkpoints.back().version;
    record_->applied = record_->checkpoints.back().applied;
    record_->ledger = record_->checkpoints.back().ledger;
    record_->schedule = record_->checkpoints.back().schedule;
  } else if (state == JobState::kSuspended) {
    record_->version = 0;
    record_->applied = 0;
    record_->ledger = {};
    record_->schedule = {};
  }
  if (state == JobState::kSuspended) {
    record_->last_commit.reset();
    // Since the last commit, or since workers were waited for: the deadline counts it, but not the
    // time from here on.
    record_->run_seconds += Seconds(turn->now - run_since_);
  }
  // Also to those that it was moved away from while they were gone.
  for (const auto& [session, shard] : members_->shards) {
    turn->actions.push_back(SendToShard{session, ReleaseOrder{record_->id}});
  }
  for (const WorkerMember* worker : members_->WorkersOf(record_->id)) {
    if (worker->refused) continue;  // Was told then.
    turn->actions.push_back(SendToWorker{worker->session, UnassignOrder{record_->id}});
  }
  record_->placement.clear();
  SetState(state, reason, message, turn);
  phase_ = Phase::kOver;
  leases_.reset();
  evaluation_ = {};
  AbandonSaving(turn);
  step_.reset();
}

void JobRun::Fail(const std::string& reason, const std::string& message, Turn* turn) {
  Log(LogSeverity::kError, "coordinator", message, turn);
  End(JobState::kFailed, reason, message, turn);
}

}  // namespace drover
