#include "server/coordinator/sqlite_statement.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace drover {
namespace {

Code CodeOf(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Code::kResourceExhausted;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return Code::kUnavailable;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOTADB:
      return Code::kFailedPrecondition;
    case SQLITE_CORRUPT:
      return Code::kDataLoss;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::kPermissionDenied;
    case SQLITE_TOOBIG:
      return Code::kInvalidArgument;
    default:
      return Code::kInternal;
  }
}

const char* HintOf(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return ": free some space on its disk";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ": another coordinator has it open; stop that one or choose another data directory";
    case SQLITE_NOTADB:
      return ": choose another data directory";
    default:
      return "";
  }
}

}  // namespace

Status SqliteStatus(sqlite3* db, int result, const char* doing) {
  if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return Status();
  return Status(CodeOf(result),
                fmt::format("job store: {}: {}{}", doing, sqlite3_errmsg(db), HintOf(result)));
}

SqliteStatement::SqliteStatement(sqlite3* db, const std::string& sql) : db_(db) {
  result_ = sqlite3_prepare_v2(db, sql.c_str(), static_cast<int>(sql.size()), &statement_,
                               /*pzTail=*/nullptr);
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

SqliteStatement& SqliteStatement::Integer(int64_t value) {
  return Bound(sqlite3_bind_int64(statement_, ++bound_, value));
}

SqliteStatement& SqliteStatement::Text(const std::string& value) {
  return Bound(sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(),
                                   SQLITE_TRANSIENT, SQLITE_UTF8));
}

SqliteStatement& SqliteStatement::TextOrNull(const std::string& value) {
  return value.empty() ? Bound(sqlite3_bind_null(statement_, ++bound_)) : Text(value);
}

SqliteStatement& SqliteStatement::Blob(const std::string& value) {
  return Bound(
      sqlite3_bind_blob64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT));
}

Result<bool> SqliteStatement::Next(const char* doing) {
  if (result_ == SQLITE_OK || result_ == SQLITE_ROW) result_ = sqlite3_step(statement_);
  column_ = 0;
  DROVER_RETURN_IF_ERROR(SqliteStatus(db_, result_, doing));
  return result_ == SQLITE_ROW;
}

int64_t SqliteStatement::TakeInteger() { return sqlite3_column_int64(statement_, column_++); }

std::string SqliteStatement::TakeBytes() {
  const void* bytes = sqlite3_column_blob(statement_, column_);
  const int size = sqlite3_column_bytes(statement_, column_++);
  if (bytes == nullptr) return std::string();
  return std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

SqliteStatement& SqliteStatement::Bound(int result) {
  if (result_ == SQLITE_OK) result_ = result;
  return *this;
}

SqliteTransaction::~SqliteTransaction() {
  if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Status SqliteTransaction::Begin() { return SqliteStatement(db_, "BEGIN IMMEDIATE").Run("begin"); }

Status SqliteTransaction::Commit() { return SqliteStatement(db_, "COMMIT").Run("commit"); }

}  // namespace drover
