// What the coordinator must not forget: jobs, epochs, commits, checkpoints, events. SQLite, and the
// only class with SQL; every method is one transaction that is durable (synced) when it returns OK.
// Protobuf messages come and go as bytes. Thread-safe: calls are serialised by a mutex.

#ifndef DROVER_SERVER_COORDINATOR_JOB_STORE_H_
#define DROVER_SERVER_COORDINATOR_JOB_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread_annotations.h"
#include "common/tensor/layout.h"

struct sqlite3;

namespace drover {

class SqliteStatement;

// Sums since the job began; see drover.v1.Ledger.
struct LedgerRow {
  int64_t leaves_expected = 0;
  int64_t leaves_counted = 0;
  int64_t leaf_chunks_expected = 0;
  int64_t leaf_chunks_applied = 0;
  int64_t duplicates = 0;
  int64_t refused = 0;

  friend bool operator==(const LedgerRow&, const LedgerRow&) = default;
};

struct JobRow {
  uint64_t id = 0;
  // Fixed when the job is created.
  std::string request_id;  // Empty: the client sent none.
  std::string spec_digest;
  std::string spec;  // Serialized drover.v1.JobSpec.
  std::string name;
  int64_t created_unix_ms = 0;
  std::string owner = "local";  // ROLE/NAME.
  // Changed only by RaiseEpoch.
  uint32_t epoch = 0;
  // Changed only by CommitStep and RollBack.
  int64_t step = 0;     // Steps committed; the open step's number.
  int64_t applied = 0;  // Of them, not skipped.
  // Changed by every update.
  LedgerRow ledger;
  int32_t state = 0;  // drover.v1.JobState.
  std::string reason;
  std::string message;
  int64_t priority = 0;
  int64_t started_unix_ms = 0;  // 0 = not yet.
  int64_t ended_unix_ms = 0;    // 0 = not yet.
  std::string layout;           // Serialized drover.v1.Layout; empty = not yet.
  uint64_t layout_hash = 0;
  std::string numeric_class;
  int64_t train_samples = 0;
  int64_t eval_samples = 0;
  uint64_t train_fingerprint = 0;
  uint64_t eval_fingerprint = 0;
  int64_t workers_lost = 0;
  int64_t shards_restarted = 0;
  std::string weights_digest;
  int64_t weights_digest_step = 0;
  int64_t consecutive_skips = 0;
  int64_t run_ms = 0;     // Time in which steps were collected.
  std::string last_eval;  // Serialized drover.v1.EvalReport; empty = none yet.
  std::string schedule;   // Serialized drover.v1.ScheduleState.

  friend bool operator==(const JobRow&, const JobRow&) = default;
};

struct CommitRow {
  int64_t step = 0;
  int64_t applied = 0;  // Updates applied so far, this one included.
  bool skip = false;
  std::string commit;  // Serialized drover.v1.Commit.
  std::string report;  // Serialized drover.v1.StepReport.

  friend bool operator==(const CommitRow&, const CommitRow&) = default;
};

struct PlacementRow {
  std::string shard;  // Name.
  BlockRange blocks;

  friend bool operator==(const PlacementRow&, const PlacementRow&) = default;
};

struct CheckpointRow {
  uint64_t job = 0;
  int64_t version = 0;
  int64_t applied = 0;
  std::string path;
  int64_t bytes = 0;
  std::string weights_digest;
  int64_t created_unix_ms = 0;
  LedgerRow ledger;           // As of this version, to go back to.
  std::string schedule = {};  // Likewise; serialized drover.v1.ScheduleState.

  friend bool operator==(const CheckpointRow&, const CheckpointRow&) = default;
};

struct EventRow {
  int64_t sequence = 0;  // Counts from 1 in each job, no gaps; old ones are forgotten.
  int64_t time_unix_ms = 0;
  std::string event;  // Serialized drover.v1.JobEvent.
  // Not 0: the event is an evaluation of this version, to be kept in the history too. Not read
  // back.
  int64_t evaluated_version = 0;
  std::string evaluation = {};  // Then: serialized drover.v1.EvalReport.

  friend bool operator==(const EventRow&, const EventRow&) = default;
};

// One row of the history of a job.
struct ReportRow {
  int64_t at = 0;      // The step, or the version evaluated.
  std::string report;  // Serialized drover.v1.StepReport or EvalReport.

  friend bool operator==(const ReportRow&, const ReportRow&) = default;
};

// Of the steps before `step` that are no commits any more, those whose number is a multiple of this
// are kept: the smallest power of two that leaves at most `kept` of the steps 0 to `step`.
int64_t HistoryStride(int64_t step, int64_t kept);

// Errors of every method: kResourceExhausted when the disk is full, kUnavailable for other failures
// of the disk, kDataLoss when the file is damaged.
class JobStore {
 public:
  // Opens or creates; holds the file for itself until destroyed. kFailedPrecondition when another
  // coordinator holds it, when a newer program made it, or when it is no job store.
  static Result<std::unique_ptr<JobStore>> Open(const std::string& path);
  ~JobStore();

  struct Created {
    uint64_t id = 0;
    bool is_new = false;  // False: this request was answered before with this id.
  };
  // kAlreadyExists when the id is taken, or the request id came before with another spec digest.
  Result<Created> CreateJob(const JobRow& job, const std::vector<EventRow>& events);

  Result<JobRow> GetJob(uint64_t id);      // kNotFound.
  Result<std::vector<JobRow>> ListJobs();  // Newest first.
  Status DeleteJob(uint64_t id);           // With all that belongs to it; absent is fine.

  // Compare and set, before the new epoch is first used. kFailedPrecondition when the stored epoch
  // is not `from`; the message names it.
  Status RaiseEpoch(uint64_t id, uint32_t from, uint32_t to);

  // Everything of the row but what is fixed, epoch, step and applied. kFailedPrecondition when the
  // stored epoch is not the row's: somebody else has taken over.
  Status UpdateJob(const JobRow& job, const std::vector<EventRow>& events);

  // UpdateJob, and step and applied go on to `commit`'s: job.step == commit.step + 1.
  // kFailedPrecondition unless the stored step is commit.step. Keeps the newest kCommitsKept.
  Status CommitStep(const JobRow& job, const CommitRow& commit,
                    const std::vector<EventRow>& events);
  static constexpr int64_t kCommitsKept = 4096;

  // UpdateJob, and step and applied go back to the row's; later commits are forgotten.
  Status RollBack(const JobRow& job, const std::vector<EventRow>& events);

  Result<CommitRow> GetCommit(uint64_t id, int64_t step);  // kNotFound.

  // The history of a job: the reports of the newest kCommitsKept steps, and of those before about
  // kHistoryKept, every HistoryStride-th; of evaluations at most kEvaluationsKept, the older ones
  // thinned. Rolled back steps are not in it.
  static constexpr int64_t kHistoryKept = 16'384;
  static constexpr int64_t kEvaluationsKept = 4096;
  // Reports of steps at or after `first`, ascending, at most `count_max`.
  Result<std::vector<ReportRow>> ReadSteps(uint64_t id, int64_t first, int64_t count_max);
  Result<std::vector<ReportRow>> ReadEvaluations(uint64_t id, int64_t first, int64_t count_max);
  // At most `points` (2 or more) of them, evenly from the first to the last; one search for each.
  Result<std::vector<ReportRow>> SampleSteps(uint64_t id, int64_t points);
  Result<std::vector<ReportRow>> SampleEvaluations(uint64_t id, int64_t points);

  // Replaces all: index in the vector = shard index. Empty = none.
  Status SetPlacements(uint64_t id, const std::vector<PlacementRow>& placements);
  Result<std::vector<PlacementRow>> GetPlacements(uint64_t id);

  // UpdateJob, and one more checkpoint of the job; one of the same version is replaced.
  Status AddCheckpoint(const JobRow& job, const CheckpointRow& checkpoint,
                       const std::vector<EventRow>& events);
  Status RemoveCheckpoint(uint64_t id, int64_t version);  // Absent is fine.
  Result<std::vector<CheckpointRow>> ListCheckpoints();   // Newest first, all jobs.
  Result<std::vector<CheckpointRow>> ListCheckpoints(uint64_t id);

  // Here and in all that takes events: the newest kEventsKept of a job are kept.
  Status AppendEvents(uint64_t id, const std::vector<EventRow>& events);
  static constexpr int64_t kEventsKept = 16'384;
  // Events after `after_sequence`, oldest first, at most `count_max`.
  Result<std::vector<EventRow>> ReadEvents(uint64_t id, int64_t after_sequence, int64_t count_max);
  Result<int64_t> LastSequence(uint64_t id);  // 0 when there is none.

 private:
  JobStore() = default;
  Status OpenDatabase(const std::string& path);
  Status CheckIdentity() DROVER_REQUIRES(mutex_);
  Status CreateSchema() DROVER_REQUIRES(mutex_);
  Status QuickCheck() DROVER_REQUIRES(mutex_);
  // `doing` says in an error what failed.
  Status Execute(const char* sql, const char* doing) DROVER_REQUIRES(mutex_);
  Result<int64_t> QueryInteger(const char* sql) DROVER_REQUIRES(mutex_);
  Status CheckEpoch(uint64_t id, uint32_t epoch) DROVER_REQUIRES(mutex_);
  Status PutJob(const JobRow& job, const std::vector<EventRow>& events) DROVER_REQUIRES(mutex_);
  Status PutEvents(uint64_t id, const std::vector<EventRow>& events) DROVER_REQUIRES(mutex_);
  Result<std::vector<CheckpointRow>> ReadCheckpoints(SqliteStatement& statement)
      DROVER_REQUIRES(mutex_);
  Result<int64_t> LastSequenceLocked(uint64_t id) DROVER_REQUIRES(mutex_);
  // The report of the commit of `step`, which is about to be forgotten.
  Status MoveToHistory(uint64_t id, int64_t step) DROVER_REQUIRES(mutex_);
  Status RollBackHistory(uint64_t id, int64_t steps) DROVER_REQUIRES(mutex_);
  Status PutEvaluation(uint64_t id, int64_t version, const std::string& report)
      DROVER_REQUIRES(mutex_);
  Result<std::vector<ReportRow>> ReadReports(SqliteStatement& statement) DROVER_REQUIRES(mutex_);
  // `read` is ReadSteps or ReadEvaluations, `last_sql` the last row's number.
  using ReadFunction = Result<std::vector<ReportRow>> (JobStore::*)(uint64_t, int64_t, int64_t);
  Result<std::vector<ReportRow>> Sample(uint64_t id, int64_t points, ReadFunction read,
                                        const char* last_sql);

  Mutex mutex_;
  sqlite3* db_ DROVER_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_STORE_H_
