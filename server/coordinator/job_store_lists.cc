// The lists of a job: placements, checkpoints, events.

#include <fmt/format.h>

#include <utility>

#include "common/base/check.h"
#include "server/coordinator/job_store.h"
#include "server/coordinator/job_store_columns.h"
#include "server/coordinator/sqlite_statement.h"

namespace drover {
namespace {

constexpr const char kCheckpointColumns[] =
    "job, version, applied, path, bytes, weights_digest, created_unix_ms, leaves_expected, "
    "leaves_counted, leaf_chunks_expected, leaf_chunks_applied, duplicates, refused, "
    "schedule";

}  // namespace

Status JobStore::SetPlacements(uint64_t id, const std::vector<PlacementRow>& placements) {
  MutexLock lock(&mutex_);
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  DROVER_RETURN_IF_ERROR(SqliteStatement(db_, "DELETE FROM placements WHERE job = ?")
                             .Text(Hex(id))
                             .Run("forget placements"));
  for (size_t i = 0; i < placements.size(); ++i) {
    const PlacementRow& placement = placements[i];
    SqliteStatement insert(db_, "INSERT INTO placements VALUES (?,?,?,?,?)");
    insert.Text(Hex(id)).Integer(static_cast<int64_t>(i)).Text(placement.shard);
    insert.Integer(placement.blocks.begin).Integer(placement.blocks.end);
    DROVER_RETURN_IF_ERROR(insert.Run("place a shard"));
  }
  return transaction.Commit();
}

Result<std::vector<PlacementRow>> JobStore::GetPlacements(uint64_t id) {
  MutexLock lock(&mutex_);
  SqliteStatement statement(db_,
                            "SELECT shard, block_begin, block_end FROM placements WHERE job = ? "
                            "ORDER BY shard_index");
  statement.Text(Hex(id));
  std::vector<PlacementRow> placements;
  for (;;) {
    const Result<bool> row = statement.Next("read placements");
    if (!row.ok()) return row.status();
    if (!row.value()) return placements;
    PlacementRow placement;
    placement.shard = statement.TakeBytes();
    placement.blocks.begin = static_cast<uint32_t>(statement.TakeInteger());
    placement.blocks.end = static_cast<uint32_t>(statement.TakeInteger());
    placements.push_back(std::move(placement));
  }
}

Status JobStore::AddCheckpoint(const JobRow& job, const CheckpointRow& checkpoint,
                               const std::vector<EventRow>& events) {
  DROVER_CHECK(checkpoint.job == job.id);
  MutexLock lock(&mutex_);
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  DROVER_RETURN_IF_ERROR(PutJob(job, events));
  SqliteStatement insert(db_, fmt::format("INSERT OR REPLACE INTO checkpoints ({}) VALUES "
                                          "(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                                          kCheckpointColumns));
  insert.Text(Hex(job.id)).Integer(checkpoint.version).Integer(checkpoint.applied);
  insert.Text(checkpoint.path).Integer(checkpoint.bytes).Text(checkpoint.weights_digest);
  insert.Integer(checkpoint.created_unix_ms);
  BindLedger(checkpoint.ledger, &insert);
  insert.Blob(checkpoint.schedule);
  DROVER_RETURN_IF_ERROR(insert.Run("record a checkpoint"));
  return transaction.Commit();
}

Status JobStore::RemoveCheckpoint(uint64_t id, int64_t version) {
  MutexLock lock(&mutex_);
  return SqliteStatement(db_, "DELETE FROM checkpoints WHERE job = ? AND version = ?")
      .Text(Hex(id))
      .Integer(version)
      .Run("forget a checkpoint");
}

Result<std::vector<CheckpointRow>> JobStore::ListCheckpoints() {
  MutexLock lock(&mutex_);
  SqliteStatement statement(db_,
                            fmt::format("SELECT {} FROM checkpoints ORDER BY created_unix_ms DESC, "
                                        "version DESC",
                                        kCheckpointColumns));
  return ReadCheckpoints(statement);
}

Result<std::vector<CheckpointRow>> JobStore::ListCheckpoints(uint64_t id) {
  MutexLock lock(&mutex_);
  SqliteStatement statement(
      db_, fmt::format("SELECT {} FROM checkpoints WHERE job = ? ORDER BY version DESC",
                       kCheckpointColumns));
  statement.Text(Hex(id));
  return ReadCheckpoints(statement);
}

Result<std::vector<CheckpointRow>> JobStore::ReadCheckpoints(SqliteStatement& statement) {
  std::vector<CheckpointRow> checkpoints;
  for (;;) {
    const Result<bool> row = statement.Next("list checkpoints");
    if (!row.ok()) return row.status();
    if (!row.value()) return checkpoints;
    CheckpointRow checkpoint;
    checkpoint.job = FromHex(statement.TakeBytes());
    checkpoint.version = statement.TakeInteger();
    checkpoint.applied = statement.TakeInteger();
    checkpoint.path = statement.TakeBytes();
    checkpoint.bytes = statement.TakeInteger();
    checkpoint.weights_digest = statement.TakeBytes();
    checkpoint.created_unix_ms = statement.TakeInteger();
    checkpoint.ledger = TakeLedger(&statement);
    checkpoint.schedule = statement.TakeBytes();
    checkpoints.push_back(std::move(checkpoint));
  }
}

Status JobStore::PutEvents(uint64_t id, const std::vector<EventRow>& events) {
  if (events.empty()) return Status();
  const Result<int64_t> last = LastSequenceLocked(id);
  if (!last.ok()) return last.status();
  int64_t expected = last.value();
  for (const EventRow& event : events) {
    if (event.sequence != ++expected) {
      return Status(Code::kFailedPrecondition, fmt::format("job {:016x}: event {} after event {}",
                                                           id, event.sequence, expected - 1));
    }
    SqliteStatement insert(db_, "INSERT INTO events VALUES (?,?,?,?)");
    insert.Text(Hex(id)).Integer(event.sequence).Integer(event.time_unix_ms).Blob(event.event);
    DROVER_RETURN_IF_ERROR(insert.Run("append an event"));
    if (event.evaluated_version > 0) {
      DROVER_RETURN_IF_ERROR(PutEvaluation(id, event.evaluated_version, event.evaluation));
    }
  }
  SqliteStatement forget(db_, "DELETE FROM events WHERE job = ? AND sequence <= ?");
  return forget.Text(Hex(id)).Integer(expected - kEventsKept).Run("forget old events");
}

Status JobStore::AppendEvents(uint64_t id, const std::vector<EventRow>& events) {
  MutexLock lock(&mutex_);
  SqliteTransaction transaction(db_);
  DROVER_RETURN_IF_ERROR(transaction.Begin());
  DROVER_RETURN_IF_ERROR(PutEvents(id, events));
  return transaction.Commit();
}

Result<std::vector<EventRow>> JobStore::ReadEvents(uint64_t id, int64_t after_sequence,
                                                   int64_t count_max) {
  MutexLock lock(&mutex_);
  SqliteStatement statement(db_,
                            "SELECT sequence, time_unix_ms, event FROM events WHERE job = ? AND "
                            "sequence > ? ORDER BY sequence LIMIT ?");
  statement.Text(Hex(id)).Integer(after_sequence).Integer(count_max);
  std::vector<EventRow> events;
  for (;;) {
    const Result<bool> row = statement.Next("read events");
    if (!row.ok()) return row.status();
    if (!row.value()) return events;
    EventRow event;
    event.sequence = statement.TakeInteger();
    event.time_unix_ms = statement.TakeInteger();
    event.event = statement.TakeBytes();
    events.push_back(std::move(event));
  }
}

Result<int64_t> JobStore::LastSequence(uint64_t id) {
  MutexLock lock(&mutex_);
  return LastSequenceLocked(id);
}

Result<int64_t> JobStore::LastSequenceLocked(uint64_t id) {
  SqliteStatement statement(db_, "SELECT max(sequence) FROM events WHERE job = ?");
  const Result<bool> row = statement.Text(Hex(id)).Next("read the last event");
  if (!row.ok()) return row.status();
  return row.value() ? statement.TakeInteger() : 0;
}

}  // namespace drover
