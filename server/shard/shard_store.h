// What a shard keeps on its own disk, so that a restart costs no step: in STATE_DIR/job-<16 hex>/
// a snapshot of weights and optimizer state and the redo log of the steps since. Load brings back
// what was there, else begins from the job's origin. Snapshots are no checkpoints: nobody else
// reads them, and losing them only costs time.
// Not thread-safe: the step thread of one job owns it.
//
//   STATE_DIR/LOCK                       flock of the one shard process that uses it
//   STATE_DIR/job-<16 hex>/snapshot.bin  a shard file (shard_file.h), replaced by rename
//   STATE_DIR/job-<16 hex>/redo-*.log    see redo_log.h

#ifndef DROVER_SERVER_SHARD_SHARD_STORE_H_
#define DROVER_SERVER_SHARD_SHARD_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "server/shard/accumulator.h"
#include "server/shard/redo_log.h"
#include "server/shard/shard_device.h"
#include "server/shard/step_engine.h"
#include "server/shard_file.h"
#include "server/step_messages.h"

namespace drover {

// Everything that a shard holds of one job.
struct HeldRange {
  PlaceOrder place;
  std::shared_ptr<Accumulator> accumulator;  // Also used by the threads that receive frames.
  std::unique_ptr<StepEngine> engine;        // Has a current version.
};

// Of a snapshot or checkpoint of the version that is held.
ShardFileHeader HeaderOf(const HeldRange& held);

struct LoadedRange {
  HeldRange held;
  bool prepared = false;     // The accumulator holds the complete gradient of step `version`.
  const char* source = "";   // "redo", "snapshot", "checkpoint" or "initial".
  int64_t redone_steps = 0;  // Commits replayed.
};

// When a snapshot replaces the redo log: it has this many records, or bytes. A log of fewer bytes
// than the minimum is quicker to replay than a snapshot is to write, whatever its records, until
// there are very many.
struct SnapshotLimits {
  int64_t records = 16;
  uint64_t bytes_min = uint64_t{64} << 20;
  uint64_t bytes_max = uint64_t{1} << 30;
  int64_t records_max = 4096;
};

class ShardStore {
 public:
  // Makes and locks the directory. kFailedPrecondition when another shard uses it; else what the
  // file system says. `fs` and `device` outlive the store. `threads`: for what is published.
  static Result<std::unique_ptr<ShardStore>> Open(FileSystem& fs, const std::string& state_dir,
                                                  const SnapshotLimits& limits,
                                                  const ShardDevice& device, int threads);
  ~ShardStore();

  // Another store for another job in the same directory, which stays locked until the last one is
  // gone. May be used on another thread.
  std::unique_ptr<ShardStore> ShareDirectory() const;

  // Jobs that have files here, in order; none when the directory cannot be read.
  std::vector<uint64_t> Jobs() const;

  // The newest state of the ordered range that can be had: local files when they are of the same
  // job, layout, range and rule and not behind the origin; else the origin, and local files are
  // removed. A disk that does not answer is an error, and nothing is removed.
  Result<LoadedRange> Load(const PlaceOrder& place);

  // Redo records of the range that was loaded last, at its version; the accumulator holds the
  // complete gradient (not needed for a commit that skips). If the log cannot be written, a
  // snapshot and a fresh log are tried once. After an error the range must be loaded again.
  Status AppendGradient(const HeldRange& held);
  Status AppendCommit(const HeldRange& held, const CommitOrder& order);

  // Writes a snapshot and begins a new log when limits say so; after an apply. An error leaves the
  // old snapshot and log in use.
  Status SnapshotIfDue(const HeldRange& held);

  // Removes a job's files.
  Status Forget(uint64_t job);

  // Of all records appended.
  uint64_t redo_bytes_total() const { return redo_bytes_total_; }

 private:
  class DirectoryLock;

  ShardStore(FileSystem& fs, std::string state_dir, const SnapshotLimits& limits,
             const ShardDevice& device, int threads, std::shared_ptr<const DirectoryLock> lock);

  std::string DirectoryOf(uint64_t job) const;
  Result<HeldRange> MakeRange(const PlaceOrder& place) const;
  Status LoadOrigin(const PlaceOrder& place, StepEngine* engine) const;
  Result<bool> LoadSnapshot(const PlaceOrder& place, StepEngine* engine) const;
  Result<LoadedRange> LoadLocal(const PlaceOrder& place);
  Result<LoadedRange> StartOver(const PlaceOrder& place);
  Status WriteSnapshot(const HeldRange& held);
  Status WriteGradient(const HeldRange& held);
  Status WriteCommit(const CommitOrder& order);

  FileSystem& fs_;
  const std::string state_dir_;
  const SnapshotLimits limits_;
  const ShardDevice& device_;
  const int threads_;
  const std::shared_ptr<const DirectoryLock> lock_;
  std::unique_ptr<RedoLog> log_;  // Of the range loaded last.
  int64_t log_records_ = 0;
  uint64_t redo_bytes_total_ = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_STORE_H_
