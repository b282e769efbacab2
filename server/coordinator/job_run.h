// One job while it runs: placed on shards, steps opened, leased, voted and committed, evaluations
// and checkpoints in between, until it has ended or pauses. Level-triggered: every event is noted,
// then Advance does whatever is possible now; a lost message is made good by asking again.
//
//   waiting -> placing -> collecting -> (measuring) -> applying -> collecting ... -> saving -> over
//
// A shard that goes away leads back to waiting from everywhere; then a new epoch begins. Pure; not
// thread-safe: Coordinator owns it.

#ifndef DROVER_SERVER_COORDINATOR_JOB_RUN_H_
#define DROVER_SERVER_COORDINATOR_JOB_RUN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "server/coordinator/coordinator_events.h"
#include "server/coordinator/job.h"
#include "server/coordinator/lease_table.h"
#include "server/coordinator/membership.h"
#include "server/coordinator/step_commit.h"

namespace drover {

// One call of Handle: its time, and what it leads to.
struct Turn {
  Instant now;
  std::vector<CoordinatorAction> actions;
};

class JobRun {
 public:
  enum class Phase { kWaiting, kPlacing, kCollecting, kMeasuring, kApplying, kOver };

  // `record` and `members` outlive this. `restored`: the job ran before a restart of the
  // coordinator, its shards may hold it.
  JobRun(JobRecord* record, Members* members, uint32_t shards_min,
         const std::string& checkpoint_directory, bool restored, Turn* turn);

  bool IsOn(const std::string& shard) const { return SlotOf(shard).has_value(); }
  bool stopping() const { return stopping_ != Stopping::kNo; }
  Phase phase() const { return phase_; }
  bool over() const { return phase_ == Phase::kOver; }
  size_t open_leases() const;
  size_t overdue_leases(Instant now) const;

  // The worker serves this job from now on, or until it is gone, refused, or the job is over.
  void TakeWorker(WorkerMember* worker, Turn* turn);
  void OnWorkerGone(const WorkerMember& worker, const std::string& reason, Turn* turn);
  void OnDescribed(const ModelDescribed& event, Turn* turn);
  void OnWorkRequested(const WorkRequested& event, Turn* turn);
  void OnLeaseDone(const LeaseDone& event, Turn* turn);
  void OnLeaseFailed(const LeaseFailed& event, Turn* turn);
  void OnLeaseReturned(const LeaseReturned& event, Turn* turn);
  void OnEvalDone(const EvalDone& event, Turn* turn);
  void OnShardGone(const ShardMember& shard, const std::string& reason, Turn* turn);
  void OnShardReply(const std::string& shard, const ShardReply& reply, Turn* turn);
  void OnManifest(const ManifestCommitted& event, Turn* turn);
  void Suspend(Turn* turn);
  void Cancel(Turn* turn);

  // Everything that is possible now; called after every event and tick.
  void Advance(Turn* turn);

 private:
  struct ShardSlot {
    uint64_t incarnation = 0;                 // When it was last placed.
    std::optional<PlacedReply> placed;        // In this epoch.
    bool current = false;                     // Holds the job's version.
    std::optional<PreparedReply> early_vote;  // Came before the step was open.
  };
  struct Saving {  // A checkpoint under way.
    int64_t version = 0;
    int64_t applied = 0;
    Ledger ledger;
    ScheduleState schedule;
    std::string directory;
    std::vector<std::optional<CheckpointWrittenReply>> parts;
    bool committing = false;
    Instant started;
  };
  struct Evaluation {  // Of the current version.
    std::unique_ptr<LeaseTable> pieces;
    int64_t loss_fixed = 0;
    int64_t correct = 0;
    int64_t samples = 0;
    int64_t masked_loss_fixed = 0;
    int64_t masked_tokens = 0;
    int64_t masked_correct = 0;
  };
  enum class Stopping { kNo, kSuspend, kCancel };

  // Waiting and placing.
  void TryPlace(Turn* turn);
  bool PlacedShardsAreHere() const;
  std::string WhichShardsAreMissing() const;
  bool ChoosePlacement(Turn* turn);
  void Place(Turn* turn);
  void SendPlace(uint32_t index, Turn* turn);
  void OnPlaced(uint32_t index, const PlacedReply& reply, Turn* turn);
  void TryFinishPlacing(Turn* turn);
  void GoBack(const std::string& why, Turn* turn);
  Origin NewestOrigin() const;

  // A step.
  void OpenStep(const LeafSet& done, bool singles, Turn* turn);
  void Commit(Turn* turn);
  void FailByNumbers(const Status& finite, Turn* turn);
  void TryFinishCollecting(Turn* turn);
  void SendCommit(StepCommit::Outcome outcome, Turn* turn);
  void EndLeasesOfStep(bool skipped, Turn* turn);
  void FinishStep(Turn* turn);
  void Dispatch(Turn* turn);
  uint32_t LeavesFor(const WorkerMember& worker, uint32_t open, double leaf_samples) const;
  bool GiveWork(WorkerMember* worker, Turn* turn);
  void SendLease(const LeaseTable::Lease& lease, WorkerMember* worker, Turn* turn);
  void SendEvalLease(const LeaseTable::Lease& lease, WorkerMember* worker, Turn* turn);
  void EndLeases(const LeaseTable& table, const std::vector<LeaseTable::Lease>& ended,
                 CountEvent::What what, const std::string& why, Turn* turn);
  // Work of the open step that is not counted; evaluations have no such figure.
  void CountDiscarded(CountEvent::What what, uint32_t leaves, Turn* turn);
  Duration ExpectedTime(const WorkerMember& worker, double samples) const;
  void Remind(Turn* turn);
  void RemindWorkers(Turn* turn);
  void SayWhoIsMissing(Turn* turn);

  // Evaluation and checkpoints.
  bool EvaluationDue() const;
  bool EvaluationPending() const { return evaluation_.pieces != nullptr; }
  void BeginEvaluation();
  void TryFinishEvaluation(Turn* turn);
  bool CheckpointDue() const;
  void BeginSaving(Turn* turn);
  void OnCheckpointWritten(uint32_t index, const CheckpointWrittenReply& reply, Turn* turn);
  void AbandonSaving(Turn* turn);
  void SavingFailed(const std::string& why, Turn* turn);

  // The end.
  void TryEnd(Turn* turn);
  void End(JobState state, const std::string& reason, const std::string& message, Turn* turn);
  void Fail(const std::string& reason, const std::string& message, Turn* turn);

  void SetState(JobState state, const std::string& reason, const std::string& message, Turn* turn);
  void SendAssignment(const WorkerMember& worker, Turn* turn);
  void SendToAllShards(const ShardOrder& order, Turn* turn);
  void Log(LogSeverity severity, const std::string& task, const std::string& text, Turn* turn);
  void Count(CountEvent::What what, double value, Turn* turn);
  bool FenceHolds(const Fence& fence, Turn* turn);
  // Of the open step.
  const PhasePlan& PhaseHere() const { return record_->plan.PhaseAt(record_->version); }
  Fence Here() const { return {record_->id, record_->epoch, record_->version}; }
  std::optional<uint32_t> SlotOf(const std::string& shard) const;

  JobRecord* const record_;
  Members* const members_;
  const uint32_t shards_min_;
  const std::string checkpoint_directory_;

  Phase phase_ = Phase::kWaiting;
  Stopping stopping_ = Stopping::kNo;
  std::optional<CountEvent::What> cause_;  // Of the next placing; none for a job's first.
  bool discard_next_ = false;
  std::vector<ShardSlot> slots_;                // As record_->placement.
  std::map<std::string, std::string> gone_;     // Placed shards lost since, and why.
  std::shared_ptr<const TensorGroups> groups_;  // Of the layout; null before the first step.
  std::unique_ptr<StepCommit> step_;
  std::optional<StepCommit::Outcome> outcome_;  // While applying: sent again to who lacks it.
  std::unique_ptr<LeaseTable> leases_;
  uint64_t last_lease_ = 0;
  std::string skip_reason_;  // The open step cannot be applied.
  Evaluation evaluation_;
  std::optional<Saving> saving_;
  int saving_failures_ = 0;
  int going_back_ = 0;  // Times in a row without a commit in between.

  Instant phase_since_;
  Instant reminded_;
  Instant step_opened_;
  Instant prepared_at_;
  std::optional<Instant> leaves_done_at_;  // All leases of the open step are done since then.
  std::optional<Instant> last_commit_at_;
  Instant run_since_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_RUN_H_
