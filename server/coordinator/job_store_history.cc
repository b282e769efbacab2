// What the steps and evaluations of a job reported: kept for as long as the job, thinned as it
// grows.

#include <utility>

#include "server/coordinator/job_store.h"
#include "server/coordinator/job_store_columns.h"
#include "server/coordinator/sqlite_statement.h"

namespace drover {

int64_t HistoryStride(int64_t step, int64_t kept) {
  int64_t stride = 1;
  while (step / stride >= kept) stride *= 2;
  return stride;
}

// What is kept of steps 0 to `step` are the multiples of its stride, whatever was rolled back in
// between: no step is taken in that an earlier one would have thrown out.
Status JobStore::MoveToHistory(uint64_t id, int64_t step) {
  const int64_t stride = HistoryStride(step, kHistoryKept);
  if (step > 0 && HistoryStride(step - 1, kHistoryKept) != stride) {
    SqliteStatement thin(db_, "DELETE FROM history WHERE job = ? AND step % ? <> 0");
    DROVER_RETURN_IF_ERROR(thin.Text(Hex(id)).Integer(stride).Run("thin the history"));
  }
  if (step % stride != 0) return Status();
  SqliteStatement move(db_,
                       "INSERT OR REPLACE INTO history SELECT job, step, report FROM commits "
                       "WHERE job = ? AND step = ?");
  return move.Text(Hex(id)).Integer(step).Run("keep a report");
}

// Evaluations of version `steps` stay: its weights are the same ones again.
Status JobStore::RollBackHistory(uint64_t id, int64_t steps) {
  SqliteStatement history(db_, "DELETE FROM history WHERE job = ? AND step >= ?");
  DROVER_RETURN_IF_ERROR(history.Text(Hex(id)).Integer(steps).Run("forget reports rolled back"));
  SqliteStatement evaluations(db_, "DELETE FROM evaluations WHERE job = ? AND version > ?");
  return evaluations.Text(Hex(id)).Integer(steps).Run("forget evaluations rolled back");
}

Status JobStore::PutEvaluation(uint64_t id, int64_t version, const std::string& report) {
  SqliteStatement insert(db_, "INSERT OR REPLACE INTO evaluations VALUES (?,?,?)");
  DROVER_RETURN_IF_ERROR(
      insert.Text(Hex(id)).Integer(version).Blob(report).Run("keep an evaluation"));
  SqliteStatement count(db_, "SELECT count(*) FROM evaluations WHERE job = ?");
  const Result<bool> row = count.Text(Hex(id)).Next("count evaluations");
  if (!row.ok()) return row.status();
  if (!row.value() || count.TakeInteger() <= kEvaluationsKept) return Status();
  // Every second one but the newest, so that what is left is as even as it was.
  SqliteStatement thin(
      db_,
      "DELETE FROM evaluations WHERE job = ?1 AND version IN (SELECT version FROM "
      "(SELECT version, row_number() OVER (ORDER BY version DESC) AS place FROM evaluations "
      "WHERE job = ?1) WHERE place % 2 = 0)");
  return thin.Text(Hex(id)).Run("thin the evaluations");
}

Result<std::vector<ReportRow>> JobStore::ReadReports(SqliteStatement& statement) {
  std::vector<ReportRow> reports;
  for (;;) {
    const Result<bool> row = statement.Next("read the history");
    if (!row.ok()) return row.status();
    if (!row.value()) return reports;
    ReportRow report;
    report.at = statement.TakeInteger();
    report.report = statement.TakeBytes();
    reports.push_back(std::move(report));
  }
}

Result<std::vector<ReportRow>> JobStore::ReadSteps(uint64_t id, int64_t first, int64_t count_max) {
  MutexLock lock(&mutex_);
  // No step is in both: a commit is moved when it is forgotten.
  SqliteStatement statement(
      db_,
      "SELECT step, report FROM history WHERE job = ?1 AND step >= ?2 UNION ALL "
      "SELECT step, report FROM commits WHERE job = ?1 AND step >= ?2 ORDER BY step LIMIT ?3");
  statement.Text(Hex(id)).Integer(first).Integer(count_max);
  return ReadReports(statement);
}

Result<std::vector<ReportRow>> JobStore::ReadEvaluations(uint64_t id, int64_t first,
                                                         int64_t count_max) {
  MutexLock lock(&mutex_);
  SqliteStatement statement(db_,
                            "SELECT version, report FROM evaluations WHERE job = ? AND version >= "
                            "? ORDER BY version LIMIT ?");
  statement.Text(Hex(id)).Integer(first).Integer(count_max);
  return ReadReports(statement);
}

// Each search takes the lock for itself, so that commits need not wait for a chart.
Result<std::vector<ReportRow>> JobStore::Sample(uint64_t id, int64_t points, ReadFunction read,
                                                const char* last_sql) {
  Result<std::vector<ReportRow>> rows = (this->*read)(id, 0, 1);
  if (!rows.ok() || rows.value().empty()) return rows;
  int64_t last = 0;
  {
    MutexLock lock(&mutex_);
    SqliteStatement statement(db_, last_sql);
    const Result<bool> row = statement.Text(Hex(id)).Next("find the end of the history");
    if (!row.ok()) return row.status();
    if (row.value()) last = statement.TakeInteger();
  }
  const int64_t first = rows.value().front().at;
  for (int64_t point = 1; point < points; ++point) {
    const int64_t at = first + (last - first) * point / (points - 1);
    if (at <= rows.value().back().at) continue;
    Result<std::vector<ReportRow>> next = (this->*read)(id, at, 1);
    if (!next.ok()) return next;
    if (next.value().empty()) break;
    rows.value().push_back(std::move(next.value().front()));
  }
  return rows;
}

Result<std::vector<ReportRow>> JobStore::SampleSteps(uint64_t id, int64_t points) {
  return Sample(id, points, &JobStore::ReadSteps,
                "SELECT max(step) FROM (SELECT max(step) AS step FROM history WHERE job = ?1 "
                "UNION ALL SELECT max(step) FROM commits WHERE job = ?1)");
}

Result<std::vector<ReportRow>> JobStore::SampleEvaluations(uint64_t id, int64_t points) {
  return Sample(id, points, &JobStore::ReadEvaluations,
                "SELECT max(version) FROM evaluations WHERE job = ?");
}

}  // namespace drover
