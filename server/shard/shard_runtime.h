// The step thread of one job on a shard (shard_host.h has all of them): takes events from one
// bounded queue, asks the core (shard.h) what to do and does it, in order. The only thread that
// writes weights, optimizer state or local files. What it cannot do any more (a broken disk, orders
// that do not fit) makes it hold nothing, as if it had been killed, and tell the coordinator so;
// local files stay for the next try. Thread-safe.

#ifndef DROVER_SERVER_SHARD_SHARD_RUNTIME_H_
#define DROVER_SERVER_SHARD_SHARD_RUNTIME_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "server/shard/accumulator.h"
#include "server/shard/publisher.h"
#include "server/shard/shard.h"
#include "server/shard/shard_device.h"
#include "server/shard/shard_events.h"
#include "server/shard/shard_metrics.h"
#include "server/shard/shard_store.h"

namespace drover {

struct ShardRuntimeOptions {
  std::string state_dir;
  int threads = 1;  // For passes over weights in host memory, and for what is published.
  std::shared_ptr<const ShardDevice> device;  // Not null.
  SnapshotLimits snapshots;
  // How long a commit waits for streams that still read the version before the last one, then again
  // after they were cancelled; then it takes more memory.
  Duration reader_patience = std::chrono::seconds(2);
  // Told on the step thread after each ReleaseOrder. May be empty.
  std::function<void()> on_forgotten = nullptr;
  // For ShardHost: bytes that the process may still take. May be empty, or not know: then nothing
  // is refused for its size.
  std::function<std::optional<int64_t>()> available_memory = nullptr;
};

class ShardRuntime {
 public:
  // `send` takes replies on the step thread and must not block for long. The rest outlives the
  // runtime. Fails as ShardStore::Open does.
  static Result<std::unique_ptr<ShardRuntime>> Start(FileSystem& fs, const Clock& clock,
                                                     const ShardRuntimeOptions& options,
                                                     ShardMetrics* metrics,
                                                     std::function<void(ShardReply)> send);
  // The same with a store that is open already.
  static std::unique_ptr<ShardRuntime> Start(FileSystem& fs, const Clock& clock,
                                             const ShardRuntimeOptions& options,
                                             ShardMetrics* metrics,
                                             std::function<void(ShardReply)> send,
                                             std::unique_ptr<ShardStore> store);
  // Finishes the event under way and drops the others.
  ~ShardRuntime();

  // Blocks while the queue is full. Events after Stop are dropped.
  void Post(ShardEvent event);

  // Finishes the event under way, drops the others and answers every pull as gone. Repeatable.
  void Stop();

  // Where chunks go; null while nothing is placed. It refuses what it should not take by itself.
  std::shared_ptr<Accumulator> accumulator() const DROVER_EXCLUDES(mutex_);
  Publisher& publisher() { return publisher_; }

 private:
  static constexpr size_t kQueueMax = 256;

  ShardRuntime(FileSystem& fs, const Clock& clock, const ShardRuntimeOptions& options,
               ShardMetrics* metrics, std::function<void(ShardReply)> send,
               std::unique_ptr<ShardStore> store);

  // All of the rest on the step thread.
  void Run();
  void HandleEvent(const ShardEvent& event);
  bool IsStale(const ShardEvent& event) const;

  // One for each action. An error ends the range, see Fail.
  Status Do(const LoadRange& action);
  Status Do(const OpenStep& action);
  Status Do(const AdoptEpoch& action);
  Status Do(const CloseStep& action);
  Status Do(const AppendGradient& action);
  Status Do(const SendPlaced& action);
  Status Do(const SendPrepared& action);
  Status Do(const RunMeasure& action);
  Status Do(const AppendCommit& action);
  Status Do(const ApplyStep& action);
  Status Do(const SendApplied& action);
  Status Do(const DropPrevious& action);
  Status Do(const RunCheckpoint& action);
  Status Do(const RefuseCheckpoint& action);
  Status Do(const ForgetJob& action);
  Status Do(const RefuseOrder& action);

  void ReserveNext();
  void Publish();
  void Drop();
  void Fail(const Status& status);
  void SetAccumulator(std::shared_ptr<Accumulator> accumulator) DROVER_EXCLUDES(mutex_);
  CheckpointWrittenReply WriteCheckpoint(const WriteCheckpointOrder& order) const;
  bool HasWritten(const WriteCheckpointOrder& order) const;

  FileSystem& fs_;
  const Clock& clock_;
  const ShardRuntimeOptions options_;
  ShardMetrics* const metrics_;
  const std::function<void(ShardReply)> send_;
  Publisher publisher_;
  BoundedQueue<ShardEvent> queue_;
  std::atomic<bool> stopping_ = false;

  mutable Mutex mutex_;
  std::shared_ptr<Accumulator> accumulator_ DROVER_GUARDED_BY(mutex_);

  // Of the step thread.
  Shard core_;
  std::unique_ptr<ShardStore> store_;
  std::deque<ShardEvent> own_events_;  // Caused by actions: handled before the queue's.
  std::optional<HeldRange> held_;
  bool snapshot_may_be_due_ = false;
  std::optional<PreparedReply> prepared_;             // Of the step under way, once sent.
  std::optional<Instant> prepare_began_;              // All its chunks were there.
  std::optional<CheckpointWrittenReply> checkpoint_;  // The last one written.
  std::string checkpoint_directory_;
  int64_t duplicates_before_ = 0;  // When the step was opened.
  int64_t refused_told_ = 0;       // In votes.

  Thread thread_;  // Last: it uses all of the above.
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_RUNTIME_H_
