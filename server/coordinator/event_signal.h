// Wakes those who wait for events of a job. Knows only how far each job's events have come; the
// events are in the job store. Thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_EVENT_SIGNAL_H_
#define DROVER_SERVER_COORDINATOR_EVENT_SIGNAL_H_

#include <chrono>
#include <cstdint>
#include <map>

#include "common/base/mutex.h"

namespace drover {

class EventSignal {
 public:
  // The job's events up to `sequence` can be read.
  void Announce(uint64_t job, int64_t sequence) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    last_[job] = sequence;
    condition_.NotifyAll();
  }

  void Forget(uint64_t job) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    last_.erase(job);
    condition_.NotifyAll();
  }

  // Until there is an event after `after_sequence`, something else happens, or the time is up.
  void Wait(uint64_t job, int64_t after_sequence, std::chrono::nanoseconds timeout)
      DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    const auto found = last_.find(job);
    if (found == last_.end() || found->second > after_sequence) return;
    condition_.WaitFor(&mutex_, timeout);
  }

 private:
  Mutex mutex_;
  CondVar condition_;
  std::map<uint64_t, int64_t> last_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_EVENT_SIGNAL_H_
