// Tables of the job store, schema version 5. A change of a table is a new version and a migration
// from each older one. Constants only.

#ifndef DROVER_SERVER_COORDINATOR_JOB_STORE_SCHEMA_H_
#define DROVER_SERVER_COORDINATOR_JOB_STORE_SCHEMA_H_

#include <cstdint>

namespace drover {

inline constexpr int64_t kJobStoreSchemaVersion = 5;
// "DRVR": no other program's database is taken for ours.
inline constexpr int64_t kJobStoreApplicationId = 0x44525652;

// Jobs are known by 16 hexadecimal digits; messages are blobs.
inline constexpr char kJobStoreSchema[] = R"sql(
CREATE TABLE jobs (
  id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 16),
  request_id TEXT UNIQUE,
  spec_digest TEXT NOT NULL,
  spec BLOB NOT NULL,
  name TEXT NOT NULL,
  created_unix_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  step INTEGER NOT NULL,
  applied INTEGER NOT NULL,
  leaves_expected INTEGER NOT NULL,
  leaves_counted INTEGER NOT NULL,
  leaf_chunks_expected INTEGER NOT NULL,
  leaf_chunks_applied INTEGER NOT NULL,
  duplicates INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  state INTEGER NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  priority INTEGER NOT NULL,
  started_unix_ms INTEGER NOT NULL,
  ended_unix_ms INTEGER NOT NULL,
  layout BLOB NOT NULL,
  layout_hash TEXT NOT NULL,
  numeric_class TEXT NOT NULL,
  train_samples INTEGER NOT NULL,
  eval_samples INTEGER NOT NULL,
  workers_lost INTEGER NOT NULL,
  shards_restarted INTEGER NOT NULL,
  weights_digest TEXT NOT NULL,
  weights_digest_step INTEGER NOT NULL,
  consecutive_skips INTEGER NOT NULL,
  run_ms INTEGER NOT NULL,
  last_eval BLOB NOT NULL,
  schedule BLOB NOT NULL,
  train_fingerprint TEXT NOT NULL,
  eval_fingerprint TEXT NOT NULL,
  owner TEXT NOT NULL
) STRICT;
CREATE TABLE commits (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  step INTEGER NOT NULL,
  applied INTEGER NOT NULL,
  skip INTEGER NOT NULL,
  record BLOB NOT NULL,
  report BLOB NOT NULL,
  PRIMARY KEY (job, step)
) STRICT;
CREATE TABLE placements (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  shard_index INTEGER NOT NULL,
  shard TEXT NOT NULL,
  block_begin INTEGER NOT NULL,
  block_end INTEGER NOT NULL,
  PRIMARY KEY (job, shard_index)
) STRICT;
CREATE TABLE checkpoints (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  version INTEGER NOT NULL,
  applied INTEGER NOT NULL,
  path TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  weights_digest TEXT NOT NULL,
  created_unix_ms INTEGER NOT NULL,
  leaves_expected INTEGER NOT NULL,
  leaves_counted INTEGER NOT NULL,
  leaf_chunks_expected INTEGER NOT NULL,
  leaf_chunks_applied INTEGER NOT NULL,
  duplicates INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  schedule BLOB NOT NULL,
  PRIMARY KEY (job, version)
) STRICT;
CREATE TABLE events (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  time_unix_ms INTEGER NOT NULL,
  event BLOB NOT NULL,
  PRIMARY KEY (job, sequence)
) STRICT;
CREATE TABLE history (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  step INTEGER NOT NULL,
  report BLOB NOT NULL,
  PRIMARY KEY (job, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE evaluations (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  version INTEGER NOT NULL,
  report BLOB NOT NULL,
  PRIMARY KEY (job, version)
) STRICT, WITHOUT ROWID;
)sql";

// From version 1: where a schedule stands is new. Empty: at its beginning, without evaluations.
inline constexpr char kJobStoreFromVersion1[] = R"sql(
ALTER TABLE jobs ADD COLUMN schedule BLOB NOT NULL DEFAULT x'';
ALTER TABLE checkpoints ADD COLUMN schedule BLOB NOT NULL DEFAULT x'';
PRAGMA user_version = 2;
)sql";

// From version 2: hashes of the data are new. 0: not known yet.
inline constexpr char kJobStoreFromVersion2[] = R"sql(
ALTER TABLE jobs ADD COLUMN train_fingerprint TEXT NOT NULL DEFAULT '0000000000000000';
ALTER TABLE jobs ADD COLUMN eval_fingerprint TEXT NOT NULL DEFAULT '0000000000000000';
PRAGMA user_version = 3;
)sql";

// From version 3: what older steps and the evaluations reported is new. Reports of the commits that
// are still there become part of it as they get old.
inline constexpr char kJobStoreFromVersion3[] = R"sql(
CREATE TABLE history (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  step INTEGER NOT NULL,
  report BLOB NOT NULL,
  PRIMARY KEY (job, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE evaluations (
  job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  version INTEGER NOT NULL,
  report BLOB NOT NULL,
  PRIMARY KEY (job, version)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 4;
)sql";

// From version 4: whose job it is. Of nobody in particular, as without TLS.
inline constexpr char kJobStoreFromVersion4[] = R"sql(
ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT 'local';
PRAGMA user_version = 5;
)sql";

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_STORE_SCHEMA_H_
