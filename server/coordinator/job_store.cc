#include "server/coordinator/job_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

#include "common/base/check.h"
#include "common/base/quote.h"
#include "server/coordinator/job_store_columns.h"
#include "server/coordinator/job_store_schema.h"
#include "server/coordinator/sqlite_statement.h"

namespace drover {
namespace {

// A coordinator that was killed a moment ago may still be dying.
constexpr int kBusyTimeoutMs = 500;

// Pragmas in the order that matters: locks first, then the journal that needs no shared memory.
constexpr const char kPragmas[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA foreign_keys = ON;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA wal_autocheckpoint = 1000;";

// The columns of a job in the order of ReadJob and CreateJob: fixed ones, then epoch, step and
// applied, then those that every update sets.
constexpr const char kFixedColumns[] =
    "id, request_id, spec_digest, spec, name, created_unix_ms, owner, epoch, step, applied";
constexpr const char kUpdatedColumns[] =
    "leaves_expected, leaves_counted, leaf_chunks_expected, leaf_chunks_applied, duplicates, "
    "refused, state, reason, message, priority, started_unix_ms, ended_unix_ms, layout, "
    "layout_hash, numeric_class, train_samples, eval_samples, workers_lost, shards_restarted, "
    "weights_digest, weights_digest_step, consecutive_skips, run_ms, last_eval, schedule, "
    "train_fingerprint, eval_fingerprint";
constexpr const char kUpdatedMarks[] = "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?";
// The kUpdatedColumns.
void BindUpdated(const JobRow& job, SqliteStatement* statement) {
  BindLedger(job.ledger, statement);
  statement->Integer(job.state)
      .Text(job.reason)
      .Text(job.message)
      .Integer(job.priority)
      .Integer(job.started_unix_ms)
      .Integer(job.ended_unix_ms)
      .Blob(job.layout)
      .Text(Hex(job.layout_hash))
      .Text(job.numeric_class)
      .Integer(job.train_samples)
      .Integer(job.eval_samples)
      .Integer(job.workers_lost)
      .Integer(job.shards_restarted)
      .Text(job.weights_digest)
      .Integer(job.weights_digest_step)
      .Integer(job.consecutive_skips)
      .Integer(job.run_ms)
      .Blob(job.last_eval)
      .Blob(job.schedule)
      .Text(Hex(job.train_fingerprint))
      .Text(Hex(job.eval_fingerprint));
}

// A row of kFixedColumns and kUpdatedColumns.
JobRow TakeJob(SqliteStatement* row) {
  JobRow job;
  job.id = FromHex(row->TakeBytes());
  job.request_id = row->TakeBytes();
  job.spec_digest = row->TakeBytes();
  job.spec = row->TakeBytes();
  job.name = row->TakeBytes();
  job.created_unix_ms = row->TakeInteger();
  job.owner = row->TakeBytes();
  job.epoch = static_cast<uint32_t>(row->TakeInteger());
  job.step = row->TakeInteger();
  job.applied = row->TakeInteger();
  job.ledger = TakeLedger(row);
  job.state = static_cast<int32_t>(row->TakeInteger());
  job.reason = row->TakeBytes();
  job.message = row->TakeBytes();
  job.priority = row->TakeInteger();
  job.started_unix_ms = row->TakeInteger();
  job.ended_unix_ms = row->TakeInteger();
  job.layout = row->TakeBytes();
  job.layout_hash = FromHex(row->TakeBytes());
  job.numeric_class = row->TakeBytes();
  job.train_samples = row->TakeInteger();
  job.eval_samples = row->TakeInteger();
  job.workers_lost = row->TakeInteger();
  job.shards_restarted = row->TakeInteger();
  job.weights_digest = row->TakeBytes();
  job.weights_digest_step = row->TakeInteger();
  job.consecutive_skips = row->TakeInteger();
  job.run_ms = row->TakeInteger();
  job.last_eval = row->TakeBytes();
  job.schedule = row->TakeBytes();
  job.train_fingerprint = FromHex(row->TakeBytes());
  job.eval_fingerprint = FromHex(row->TakeBytes());
  return job;
}

}  // namespace

Result<std::unique_ptr<JobStore>> JobStore::Open(const std::string& path) {
  std::unique_ptr<JobStore> store(new JobStore());
  const Status opened = store->OpenDatabase(path);
  if (!opened.ok()) return opened.Annotate(Quote(path));
  return store;
}

JobStore::~JobStore() {
  MutexLock lock(&mutex_);
  sqlite3_close(db_);  // No statement is left: all are local to a method.
}

Status JobStore::Execute(const char* sql, const char* doing) {
  const int result = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  return SqliteStatus(db_, result, doing);
}

Result<int64_t> JobStore::QueryInteger(const char* sql) {
  SqliteStatement statement(db_, sql);
  const Result<bool> row = statement.Next("inspect");
  if (!row.ok()) return row.status();
  return row.value() ? statement.TakeInteger() : 0;
}

Status JobStore::OpenDatabase(const std::string& path) {
  MutexLock lock(&mutex_);
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(path.c_str(), &db_, flags, /*zVfs=*/nullptr);
  DROVER_RETURN_IF_ERROR(SqliteStatus(db_, result, "open"));
  sqlite3_busy_timeout(db_, kBusyTimeoutMs);
  DROVER_RETURN_IF_ERROR(Execute("PRAGMA locking_mode = EXCLUSIVE", "lock"));
  DROVER_RETURN_IF_ERROR(CheckIdentity());
  DROVER_RETURN_IF_ERROR(Execute(kPragmas, "configure"));
  DROVER_RETURN_IF_ERROR(CreateSchema());
  return QuickCheck();
}

// Before anything is written: is it ours, and do we understand it?
Status JobStore::CheckIdentity() {
  const Result<int64_t> tables = QueryInteger("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) return tables.status();
  if (tables.value() == 0) return Status();
  const Result<int64_t> application = QueryInteger("PRAGMA application_id");
  if (!application.ok()) return application.status();
  if (application.value() != kJobStoreApplicationId) {
    return Status(Code::kFailedPrecondition,
                  "a database of another program: choose another data directory");
  }
  const Result<int64_t> version = QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (version.value() >= 1 && version.value() <= kJobStoreSchemaVersion) return Status();
  return Status(Code::kFailedPrecondition,
                fmt::format("job store of schema version {}, this program knows {}: use the "
                            "version of Drover that made it",
                            version.value(), kJobStoreSchemaVersion));
}

// Also takes the lock that is held from now on, whether or not there is something to create.
Status JobStore::CreateSchema() {
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  const Result<int64_t> version = QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (version.value() == 0) {
    DROVER_RETURN_IF_ERROR(Execute(kJobStoreSchema, "create tables"));
    const std::string marks = fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};",
                                          kJobStoreApplicationId, kJobStoreSchemaVersion);
    DROVER_RETURN_IF_ERROR(Execute(marks.c_str(), "mark as ours"));
  }
  if (version.value() == 1) {
    DROVER_RETURN_IF_ERROR(Execute(kJobStoreFromVersion1, "bring to schema 2"));
  }
  if (version.value() == 1 || version.value() == 2) {
    DROVER_RETURN_IF_ERROR(Execute(kJobStoreFromVersion2, "bring to schema 3"));
  }
  if (version.value() >= 1 && version.value() <= 3) {
    DROVER_RETURN_IF_ERROR(Execute(kJobStoreFromVersion3, "bring to schema 4"));
  }
  if (version.value() >= 1 && version.value() <= 4) {
    DROVER_RETURN_IF_ERROR(Execute(kJobStoreFromVersion4, "bring to schema 5"));
  }
  return transaction.Commit();
}

Status JobStore::QuickCheck() {
  SqliteStatement check(db_, "PRAGMA quick_check(1)");
  const Result<bool> row = check.Next("check");
  if (!row.ok()) return row.status();
  const std::string answer = row.value() ? check.TakeBytes() : "no answer";
  if (answer == "ok") return Status();
  return Status(Code::kDataLoss,
                fmt::format("job store: damaged: {}: restore a backup", Quote(answer)));
}

Result<JobStore::Created> JobStore::CreateJob(const JobRow& job,
                                              const std::vector<EventRow>& events) {
  MutexLock lock(&mutex_);
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  SqliteStatement same(db_, "SELECT id, spec_digest FROM jobs WHERE request_id = ?");
  const Result<bool> known = same.TextOrNull(job.request_id).Next("look for the request");
  if (!known.ok()) return known.status();
  if (known.value()) {
    const uint64_t id = FromHex(same.TakeBytes());
    if (same.TakeBytes() == job.spec_digest) return Created{id, /*is_new=*/false};
    return Status(Code::kAlreadyExists,
                  fmt::format("request {} created job {:016x} from another specification: choose "
                              "a new request id",
                              Quote(job.request_id), id));
  }
  SqliteStatement taken(db_, "SELECT 1 FROM jobs WHERE id = ?");
  const Result<bool> exists = taken.Text(Hex(job.id)).Next("look for the id");
  if (!exists.ok()) return exists.status();
  if (exists.value()) {
    return Status(Code::kAlreadyExists, fmt::format("job {:016x} exists", job.id));
  }
  SqliteStatement insert(
      db_, fmt::format("INSERT INTO jobs ({}, {}) VALUES (?,?,?,?,?,?,?,?,?,?,{})", kFixedColumns,
                       kUpdatedColumns, kUpdatedMarks));
  insert.Text(Hex(job.id)).TextOrNull(job.request_id).Text(job.spec_digest).Blob(job.spec);
  insert.Text(job.name).Integer(job.created_unix_ms).Text(job.owner);
  insert.Integer(job.epoch).Integer(job.step).Integer(job.applied);
  BindUpdated(job, &insert);
  DROVER_RETURN_IF_ERROR(insert.Run("create a job"));
  DROVER_RETURN_IF_ERROR(PutEvents(job.id, events));
  DROVER_RETURN_IF_ERROR(transaction.Commit());
  return Created{job.id, /*is_new=*/true};
}

Result<JobRow> JobStore::GetJob(uint64_t id) {
  MutexLock lock(&mutex_);
  SqliteStatement statement(
      db_, fmt::format("SELECT {}, {} FROM jobs WHERE id = ?", kFixedColumns, kUpdatedColumns));
  const Result<bool> row = statement.Text(Hex(id)).Next("read a job");
  if (!row.ok()) return row.status();
  if (!row.value()) return Status(Code::kNotFound, fmt::format("no job {:016x}", id));
  return TakeJob(&statement);
}

Result<std::vector<JobRow>> JobStore::ListJobs() {
  MutexLock lock(&mutex_);
  SqliteStatement statement(
      db_, fmt::format("SELECT {}, {} FROM jobs ORDER BY created_unix_ms DESC, rowid "
                       "DESC",
                       kFixedColumns, kUpdatedColumns));
  std::vector<JobRow> jobs;
  for (;;) {
    const Result<bool> row = statement.Next("list jobs");
    if (!row.ok()) return row.status();
    if (!row.value()) return jobs;
    jobs.push_back(TakeJob(&statement));
  }
}

Status JobStore::DeleteJob(uint64_t id) {
  MutexLock lock(&mutex_);
  return SqliteStatement(db_, "DELETE FROM jobs WHERE id = ?").Text(Hex(id)).Run("delete a job");
}

Status JobStore::RaiseEpoch(uint64_t id, uint32_t from, uint32_t to) {
  if (to <= from) {
    return Status(Code::kInvalidArgument, fmt::format("epoch {} to {}: it only grows", from, to));
  }
  MutexLock lock(&mutex_);
  SqliteStatement update(db_, "UPDATE jobs SET epoch = ? WHERE id = ? AND epoch = ?");
  DROVER_RETURN_IF_ERROR(update.Integer(to).Text(Hex(id)).Integer(from).Run("raise the epoch"));
  if (sqlite3_changes(db_) == 1) return Status();
  return CheckEpoch(id, from);
}

// Why an update of this epoch met no row.
Status JobStore::CheckEpoch(uint64_t id, uint32_t epoch) {
  SqliteStatement statement(db_, "SELECT epoch FROM jobs WHERE id = ?");
  const Result<bool> row = statement.Text(Hex(id)).Next("read the epoch");
  if (!row.ok()) return row.status();
  if (!row.value()) return Status(Code::kNotFound, fmt::format("no job {:016x}", id));
  const int64_t stored = statement.TakeInteger();
  if (stored == epoch) return Status();
  return Status(Code::kFailedPrecondition,
                fmt::format("job {:016x} is in epoch {}, not {}: another takeover came first", id,
                            stored, epoch));
}

Status JobStore::PutJob(const JobRow& job, const std::vector<EventRow>& events) {
  SqliteStatement update(db_, fmt::format("UPDATE jobs SET ({}) = ({}) WHERE id = ? AND epoch = ?",
                                          kUpdatedColumns, kUpdatedMarks));
  BindUpdated(job, &update);
  DROVER_RETURN_IF_ERROR(update.Text(Hex(job.id)).Integer(job.epoch).Run("update a job"));
  if (sqlite3_changes(db_) != 1) {
    DROVER_RETURN_IF_ERROR(CheckEpoch(job.id, job.epoch));
    return Status(Code::kInternal, fmt::format("job {:016x}: not updated", job.id));
  }
  return PutEvents(job.id, events);
}

Status JobStore::UpdateJob(const JobRow& job, const std::vector<EventRow>& events) {
  MutexLock lock(&mutex_);
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  DROVER_RETURN_IF_ERROR(PutJob(job, events));
  return transaction.Commit();
}

Status JobStore::CommitStep(const JobRow& job, const CommitRow& commit,
                            const std::vector<EventRow>& events) {
  if (job.step != commit.step + 1 || job.applied != commit.applied) {
    return Status(Code::kInvalidArgument,
                  fmt::format("commit of step {}: the job says {} steps, {} applied, not {}, {}",
                              commit.step, job.step, job.applied, commit.step + 1, commit.applied));
  }
  MutexLock lock(&mutex_);
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  DROVER_RETURN_IF_ERROR(PutJob(job, events));
  SqliteStatement advance(db_, "UPDATE jobs SET step = ?, applied = ? WHERE id = ? AND step = ?");
  advance.Integer(job.step).Integer(job.applied).Text(Hex(job.id)).Integer(commit.step);
  DROVER_RETURN_IF_ERROR(advance.Run("advance the step"));
  if (sqlite3_changes(db_) != 1) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("job {:016x}: step {} is not the open one", job.id, commit.step));
  }
  SqliteStatement insert(db_, "INSERT INTO commits VALUES (?,?,?,?,?,?)");
  insert.Text(Hex(job.id)).Integer(commit.step).Integer(commit.applied).Integer(commit.skip);
  DROVER_RETURN_IF_ERROR(insert.Blob(commit.commit).Blob(commit.report).Run("append a commit"));
  const int64_t old = commit.step - kCommitsKept;
  if (old >= 0) DROVER_RETURN_IF_ERROR(MoveToHistory(job.id, old));
  SqliteStatement forget(db_, "DELETE FROM commits WHERE job = ? AND step <= ?");
  DROVER_RETURN_IF_ERROR(forget.Text(Hex(job.id)).Integer(old).Run("forget old commits"));
  return transaction.Commit();
}

Status JobStore::RollBack(const JobRow& job, const std::vector<EventRow>& events) {
  MutexLock lock(&mutex_);
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  DROVER_RETURN_IF_ERROR(PutJob(job, events));
  SqliteStatement back(db_, "UPDATE jobs SET step = ?, applied = ? WHERE id = ? AND step >= ?");
  back.Integer(job.step).Integer(job.applied).Text(Hex(job.id)).Integer(job.step);
  DROVER_RETURN_IF_ERROR(back.Run("roll back"));
  if (sqlite3_changes(db_) != 1) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("job {:016x}: cannot go back to step {}, which it has not reached",
                              job.id, job.step));
  }
  SqliteStatement forget(db_, "DELETE FROM commits WHERE job = ? AND step >= ?");
  DROVER_RETURN_IF_ERROR(
      forget.Text(Hex(job.id)).Integer(job.step).Run("forget commits rolled back"));
  DROVER_RETURN_IF_ERROR(RollBackHistory(job.id, job.step));
  return transaction.Commit();
}

Result<CommitRow> JobStore::GetCommit(uint64_t id, int64_t step) {
  MutexLock lock(&mutex_);
  SqliteStatement statement(
      db_, "SELECT step, applied, skip, record, report FROM commits WHERE job = ? AND step = ?");
  const Result<bool> row = statement.Text(Hex(id)).Integer(step).Next("read a commit");
  if (!row.ok()) return row.status();
  if (!row.value()) {
    return Status(Code::kNotFound, fmt::format("job {:016x}: no commit of step {}", id, step));
  }
  CommitRow commit;
  commit.step = statement.TakeInteger();
  commit.applied = statement.TakeInteger();
  commit.skip = statement.TakeInteger() != 0;
  commit.commit = statement.TakeBytes();
  commit.report = statement.TakeBytes();
  return commit;
}

}  // namespace drover
