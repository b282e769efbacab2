// All jobs of a shard process: one ShardRuntime with a thread, sums, weights and files of its own
// for each job that was placed here. Hands orders to the job they name. What the jobs take of the
// memory adds up; they share the state directory, in which each has its own, and the threads of the
// machine. Decides nothing about steps.
// Thread-safe, but for Post: one thread.

#ifndef DROVER_SERVER_SHARD_SHARD_HOST_H_
#define DROVER_SERVER_SHARD_SHARD_HOST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/metrics/registry.h"
#include "server/shard/shard_metrics.h"
#include "server/shard/shard_runtime.h"
#include "server/shard/shard_store.h"
#include "server/step_messages.h"

namespace drover {

// One job here, for whoever keeps a reference to it; when the job has gone they hold nothing.
struct HostedJob {
  ShardMetrics* metrics = nullptr;
  ShardRuntime* runtime = nullptr;
};

class ShardHost {
 public:
  // More than a coordinator places at once; a Place beyond is answered with an error.
  static constexpr size_t kJobsMax = 64;

  // As ShardRuntime::Start; the registry outlives the host.
  static Result<std::unique_ptr<ShardHost>> Start(FileSystem& fs, const Clock& clock,
                                                  const ShardRuntimeOptions& options,
                                                  MetricRegistry* registry,
                                                  std::function<void(ShardReply)> send);
  ~ShardHost();

  // Blocks while the job's queue is full. A Place of a job that has to begin anew beside others is
  // answered with an error when its memory is not there (range_memory.h). Orders for a job that is
  // not here, but for Place and Release, are logged and dropped.
  void Post(ShardOrder order) DROVER_EXCLUDES(mutex_);

  // Of every job: finishes the event under way and drops the others. Repeatable.
  void Stop() DROVER_EXCLUDES(mutex_);

  // Null when nothing of this job is placed here.
  std::shared_ptr<HostedJob> Find(uint64_t job) const DROVER_EXCLUDES(mutex_);

  // Of which something is here, in memory or on the disk; in order.
  std::vector<uint64_t> Jobs() const DROVER_EXCLUDES(mutex_);

 private:
  struct OwnedJob;
  struct Slot {
    std::shared_ptr<HostedJob> hosted;
    bool released = false;  // The last order was a Release.
    int releases = 0;       // That have not been carried out.
  };

  ShardHost(FileSystem& fs, const Clock& clock, const ShardRuntimeOptions& options,
            MetricRegistry* registry, std::function<void(ShardReply)> send,
            std::unique_ptr<ShardStore> store);

  std::shared_ptr<HostedJob> MakeJob(uint64_t job);
  size_t JobCount() const DROVER_EXCLUDES(mutex_);
  // Why a job that is not here yet cannot be placed beside so many others; empty when it can.
  std::string RefusalOf(const PlaceOrder& place, size_t others) const;
  void OnForgotten(uint64_t job) DROVER_EXCLUDES(mutex_);
  void RemoveReleased() DROVER_EXCLUDES(mutex_);

  FileSystem& fs_;
  const Clock& clock_;
  const ShardRuntimeOptions options_;
  MetricRegistry* const registry_;
  const std::function<void(ShardReply)> send_;
  const std::unique_ptr<ShardStore> store_;  // Holds the directory's lock; the jobs' share it.

  mutable Mutex mutex_;
  std::map<uint64_t, Slot> slots_ DROVER_GUARDED_BY(mutex_);
  bool stopped_ DROVER_GUARDED_BY(mutex_) = false;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_HOST_H_
