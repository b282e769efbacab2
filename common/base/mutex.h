// The standard mutex and condition variable with thread-safety annotations. Thread-safe.

#ifndef DROVER_COMMON_BASE_MUTEX_H_
#define DROVER_COMMON_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "common/base/thread_annotations.h"

namespace drover {

class DROVER_CAPABILITY("mutex") Mutex {
 public:
  void Lock() DROVER_ACQUIRE() { mutex_.lock(); }
  void Unlock() DROVER_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class DROVER_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) DROVER_ACQUIRE(mutex) : mutex_(mutex) { mutex_->Lock(); }
  ~MutexLock() DROVER_RELEASE() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class CondVar {
 public:
  // Waits until notified or woken spuriously: call in a loop around the condition.
  void Wait(Mutex* mutex) DROVER_REQUIRES(mutex) DROVER_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }

  // As Wait, but not longer than `timeout`. False when the time was up.
  bool WaitFor(Mutex* mutex, std::chrono::nanoseconds timeout)
      DROVER_REQUIRES(mutex) DROVER_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const std::cv_status status = condition_.wait_for(lock, timeout);
    lock.release();
    return status == std::cv_status::no_timeout;
  }

  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_MUTEX_H_
