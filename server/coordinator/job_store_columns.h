// How the tables of the job store hold numbers that SQLite does not know, and ledgers. Internal to
// the two files of the job store. As thread-safe as their statements.

#ifndef DROVER_SERVER_COORDINATOR_JOB_STORE_COLUMNS_H_
#define DROVER_SERVER_COORDINATOR_JOB_STORE_COLUMNS_H_

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <string>

#include "server/coordinator/job_store.h"
#include "server/coordinator/sqlite_statement.h"

namespace drover {

// Ids and hashes: SQLite has no unsigned integers. 16 hexadecimal digits.
inline std::string Hex(uint64_t value) { return fmt::format("{:016x}", value); }

inline uint64_t FromHex(const std::string& text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

inline void BindLedger(const LedgerRow& ledger, SqliteStatement* statement) {
  statement->Integer(ledger.leaves_expected)
      .Integer(ledger.leaves_counted)
      .Integer(ledger.leaf_chunks_expected)
      .Integer(ledger.leaf_chunks_applied)
      .Integer(ledger.duplicates)
      .Integer(ledger.refused);
}

inline LedgerRow TakeLedger(SqliteStatement* row) {
  LedgerRow ledger;
  for (int64_t* sum :
       {&ledger.leaves_expected, &ledger.leaves_counted, &ledger.leaf_chunks_expected,
        &ledger.leaf_chunks_applied, &ledger.duplicates, &ledger.refused}) {
    *sum = row->TakeInteger();
  }
  return ledger;
}

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_STORE_COLUMNS_H_
