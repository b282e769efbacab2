// What a shard must not forget when it is killed: the gradient of each prepared step, appended
// before the vote, and each commit, appended before it is applied. Snapshot + replay = the state
// before the kill. Survives kill -9, not a power loss (nothing is synced). Bytes in
// docs/formats.md. Not thread-safe: one step thread owns it.
//
//   Open, Replay once, then Append...; Restart after each snapshot (also for the first log).

#ifndef DROVER_SERVER_SHARD_REDO_LOG_H_
#define DROVER_SERVER_SHARD_REDO_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "server/step_messages.h"

namespace drover {

// One record as replayed; valid only during the call.
struct RedoRecord {
  enum class Type : uint32_t { kGradient = 1, kCommit = 2 };
  Type type;
  int64_t step;
  LeafStatsSum stats;                          // kGradient.
  std::vector<std::span<const float>> chunks;  // kGradient, as they were appended.
  std::string commit_bytes;                    // kCommit: a serialized drover.v1.Commit.
};

class RedoLog {
 public:
  struct ReplayReport {
    std::optional<int64_t> base_version;  // Of the log; none when there is no log yet.
    int64_t records = 0;
    uint64_t torn_bytes = 0;  // Cut off the end: a write that a kill interrupted.
  };

  // Looks for a log in `directory` (which exists) and reads its header. kFailedPrecondition when
  // it belongs to another job, layout or range: the caller then discards the directory. `fs`
  // outlives the log.
  static Result<std::unique_ptr<RedoLog>> Open(FileSystem& fs, const std::string& directory,
                                               uint64_t job, uint64_t layout_hash,
                                               BlockRange range);

  // Calls `consume` for every record in order, stops at its first error and returns it. A torn
  // last record is cut off; damage anywhere else is kDataLoss and leaves the file as it is.
  Result<ReplayReport> Replay(const std::function<Status(const RedoRecord&)>& consume);

  // The mean gradient of a step: chunks in the order of Layout::Chunks, written from where they
  // lie. The record is in the page cache when this returns OK. After an error every later append
  // fails with it, until Restart.
  Status AppendGradient(int64_t step, const LeafStatsSum& stats,
                        std::span<const std::span<const float>> chunk_gradients);
  Status AppendCommit(int64_t step, const std::string& commit_bytes);

  // A snapshot of version `base_version` is safe: begins an empty log, then removes the older ones.
  // Every record so far is forgotten, those of later steps too: no step is prepared meanwhile. A
  // kill before it leaves a log whose first records the snapshot holds already: skip records of
  // steps before the snapshot's version. After an error the log goes on as it was, or (only when
  // the new log could not be opened again) refuses to be appended to.
  Status Restart(int64_t base_version);

  uint64_t bytes() const { return bytes_; }  // Of the current log.

 private:
  RedoLog(FileSystem& fs, std::string directory, uint64_t job, uint64_t layout_hash,
          BlockRange range);
  Result<std::vector<std::string>> ListLogs() const;
  Result<bool> Adopt(const std::string& name);
  Status Append(RedoRecord::Type type, int64_t step, const std::string& head,
                std::span<const std::span<const float>> rest);
  Status Write(RedoRecord::Type type, int64_t step, const std::string& head,
               std::span<const std::span<const float>> rest);
  void RemoveOthers() const;
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }

  FileSystem& fs_;
  const std::string directory_;
  const uint64_t job_;
  const uint64_t layout_hash_;
  const BlockRange range_;
  std::string name_;  // Of the current log; empty when there is none.
  int64_t base_version_ = 0;
  bool replayed_ = false;
  std::unique_ptr<WritableFile> file_;
  uint64_t bytes_ = 0;
  uint32_t records_ = 0;
  Status broken_;  // The first failed append.
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_REDO_LOG_H_
