#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "server/coordinator/job_run.h"
#include "server/optim/rule.h"

namespace drover {

void JobRun::OpenStep(const LeafSet& done, bool singles, Turn* turn) {
  phase_ = Phase::kCollecting;
  phase_since_ = turn->now;
  step_opened_ = turn->now;
  skip_reason_.clear();
  leaves_done_at_.reset();
  step_.reset();
  leases_.reset();
  if (record_->version < record_->plan.steps) {
    if (groups_ == nullptr) {
      groups_ = std::make_shared<const TensorGroups>(
          GroupTensors(record_->plan.optimizer, *record_->layout));
    }
    step_ = std::make_unique<StepCommit>(*record_, groups_);
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
  const UpdateNumbers numbers = step_->NumbersForMeasure();
  const Status finite = CheckFinite(numbers);
  if (!finite.ok()) return FailByNumbers(finite, turn);
  phase_ = Phase::kMeasuring;
  phase_since_ = turn->now;
  reminded_ = turn->now;
  SendToAllShards(MeasureOrder{Here(), numbers}, turn);
}

void JobRun::FailByNumbers(const Status& finite, Turn* turn) {
  Fail("NUMBERS_OUT_OF_RANGE",
       fmt::format("step {}: the constants of the update leave the range of float32: {}; expected "
                   "settings of the optimizer and a learning rate nearer to 1",
                   record_->version, finite.message()),
       turn);
}

void JobRun::Commit(Turn* turn) {
  Ledger ledger = record_->ledger;
  StepCommit::Outcome outcome = step_->Commit(Here(), &ledger);
  const Status finite = CheckFinite(outcome.commit.numbers);
  if (!finite.ok()) return FailByNumbers(finite, turn);
  record_->ledger = ledger;
  record_->consecutive_skips = 0;
  if (outcome.noise) {
    AddNoise(*outcome.noise, &record_->schedule.noise);
    outcome.summary.noise_scale = NoiseScaleOf(record_->schedule.noise);
  }
  SendCommit(std::move(outcome), turn);
}

void JobRun::SendCommit(StepCommit::Outcome outcome, Turn* turn) {
  StepSummary& summary = outcome.summary;
  summary.seconds = Seconds(turn->now - last_commit_at_.value_or(step_opened_));
  summary.collect_seconds =
      std::max(0.0, Seconds(prepared_at_ - step_opened_) - summary.prepare_seconds);
  summary.ratio_seconds = Seconds(turn->now - prepared_at_);
  last_commit_at_ = turn->now;
  EndLeasesOfStep(summary.skipped, turn);
  record_->run_seconds += Seconds(turn->now - run_since_);
  run_since_ = turn->now;
  ++record_->version;
  record_->applied = summary.applied;
  BeginPhaseIfDue(record_);
  record_->last_commit = outcome.commit;
  record_->last_step = summary;
  going_back_ = 0;
  turn->actions.push_back(SaveCommit{*record_, outcome.commit, summary});
  SendToAllShards(outcome.commit, turn);
  outcome_ = std::move(outcome);
  phase_ = Phase::kApplying;
  phase_since_ = turn->now;
  reminded_ = turn->now;
}

// Leases that nobody waits for any more. Of a skipped step all that was leased is lost. Else the
// shards have voted, so every leaf was counted, mostly just before its lease would have been done:
// lost are only leases whose leaves came from a copy too.
void JobRun::EndLeasesOfStep(bool skipped, Turn* turn) {
  std::set<uint32_t> ranges;  // A copy has the range of its original.
  for (const auto& [id, lease] : leases_->live()) {
    Count(CountEvent::What::kLeaseSuperseded, 1, turn);
    const bool counted =
        leases_->NeedsResult(lease.leaves) && ranges.insert(lease.leaves.begin).second;
    if (skipped || counted) continue;
    CountDiscarded(CountEvent::What::kDiscardedExpired, lease.leaves.size(), turn);
  }
  if (skipped) {
    const uint32_t leaves = static_cast<uint32_t>(PhaseHere().leaves);
    CountDiscarded(CountEvent::What::kDiscardedSkipped, leaves - leases_->open_count(), turn);
  }
  last_lease_ = leases_->last_id();
  leases_.reset();
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
  OpenStep(LeafSet(static_cast<uint32_t>(PhaseHere().leaves)), /*singles=*/false, turn);
}

}  // namespace drover
