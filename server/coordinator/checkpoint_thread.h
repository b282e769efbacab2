// Commits checkpoints whose files the shards have written: weights digest, manifest, rename, then
// removal of the oldest; and removes the folders of deleted jobs. Reads every weight once, so it
// has a thread of its own and the core waits for an event instead. Thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_CHECKPOINT_THREAD_H_
#define DROVER_SERVER_COORDINATOR_CHECKPOINT_THREAD_H_

#include <functional>
#include <string>
#include <utility>
#include <variant>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/thread.h"
#include "server/coordinator/coordinator_events.h"

namespace drover {

struct CheckpointTask {
  CommitManifest manifest;
  std::string spec_digest;
};

// The work itself, on the caller's thread. The event's checkpoint holds at least the version; its
// error is not empty when no checkpoint was committed.
ManifestCommitted CommitCheckpointTask(FileSystem& fs, const CheckpointTask& task,
                                       const Clock& clock);

class CheckpointThread {
 public:
  // `answer` is called on the thread once per task. All outlive this.
  CheckpointThread(FileSystem* fs, const Clock* clock,
                   std::function<void(ManifestCommitted)> answer);
  // Finishes the task at hand.
  ~CheckpointThread();

  // Never blocks; false when more tasks wait than any job can want, and then nothing is answered.
  bool Add(CheckpointTask task) { return tasks_.TryPush(std::move(task)); }
  // A folder that nobody looks at any more. False as above: the next start removes it.
  bool Remove(std::string folder) { return tasks_.TryPush(std::move(folder)); }

 private:
  void Loop();

  FileSystem* const fs_;
  const Clock* const clock_;
  const std::function<void(ManifestCommitted)> answer_;
  BoundedQueue<std::variant<CheckpointTask, std::string>> tasks_{8};
  Thread thread_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_CHECKPOINT_THREAD_H_
