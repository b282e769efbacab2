// The only queue: fixed capacity, so that a slow reader slows its writer down instead of eating
// memory. Thread-safe, any number of readers and writers.

#ifndef DROVER_COMMON_BASE_BOUNDED_QUEUE_H_
#define DROVER_COMMON_BASE_BOUNDED_QUEUE_H_

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "common/base/mutex.h"

namespace drover {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Blocks while full. False, and the item is dropped, once closed.
  bool Push(T item) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (items_.size() >= capacity_ && !closed_) not_full_.Wait(&mutex_);
    if (closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.NotifyOne();
    return true;
  }

  // Never blocks: false when full or closed.
  bool TryPush(T item) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    not_empty_.NotifyOne();
    return true;
  }

  // Blocks while empty. Nothing once closed and drained.
  std::optional<T> Pop() DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (items_.empty() && !closed_) not_empty_.Wait(&mutex_);
    return TakeFront();
  }

  // As Pop, but gives up after `timeout` with nothing; closed() tells the two apart.
  std::optional<T> PopFor(std::chrono::nanoseconds timeout) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (items_.empty() && !closed_) {
      if (!not_empty_.WaitFor(&mutex_, timeout)) break;
    }
    return TakeFront();
  }

  // Wakes everybody: pushes fail from now on, pops drain what is left.
  void Close() DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    closed_ = true;
    not_empty_.NotifyAll();
    not_full_.NotifyAll();
  }

  bool closed() const DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return closed_;
  }

 private:
  std::optional<T> TakeFront() DROVER_REQUIRES(mutex_) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    not_full_.NotifyOne();
    return item;
  }

  const size_t capacity_;
  mutable Mutex mutex_;
  CondVar not_empty_;
  CondVar not_full_;
  std::deque<T> items_ DROVER_GUARDED_BY(mutex_);
  bool closed_ DROVER_GUARDED_BY(mutex_) = false;
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_BOUNDED_QUEUE_H_
