// SQLite with Status and values: a prepared statement, a transaction that undoes itself. Knows no
// tables. As thread-safe as its connection: one thread, or a lock around it.

#ifndef DROVER_SERVER_COORDINATOR_SQLITE_STATEMENT_H_
#define DROVER_SERVER_COORDINATOR_SQLITE_STATEMENT_H_

#include <cstdint>
#include <string>

#include "common/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace drover {

// What an SQLite result code (extended or not) means, OK for success. `doing` says what failed.
Status SqliteStatus(sqlite3* db, int result, const char* doing);

// The first error of preparing, binding or stepping is what Run and Next return.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* db, const std::string& sql);
  ~SqliteStatement();
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  // Bind the next parameter.
  SqliteStatement& Integer(int64_t value);
  SqliteStatement& Text(const std::string& value);
  SqliteStatement& TextOrNull(const std::string& value);  // NULL when empty.
  SqliteStatement& Blob(const std::string& value);

  Result<bool> Next(const char* doing);  // True when there is a row.
  Status Run(const char* doing) { return Next(doing).status(); }

  // Columns of the row, one after the other.
  int64_t TakeInteger();
  std::string TakeBytes();

 private:
  SqliteStatement& Bound(int result);

  sqlite3* const db_;
  sqlite3_stmt* statement_ = nullptr;
  int result_ = 0;
  int bound_ = 0;
  int column_ = 0;
};

// Rolled back when it goes out of scope uncommitted.
class SqliteTransaction {
 public:
  explicit SqliteTransaction(sqlite3* db) : db_(db) {}
  ~SqliteTransaction();
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;

  Status Begin();
  Status Commit();

 private:
  sqlite3* const db_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_SQLITE_STATEMENT_H_
