// Large objects that are used again instead of being freed and allocated: a fresh buffer of a big
// model costs a page fault every 4 KiB, each step. An object comes back by itself when its last
// reference goes, on whichever thread that is (gRPC's, for frames), also after the pool's end.
// Thread-safe.

#ifndef DROVER_WORKER_COMM_OBJECT_POOL_H_
#define DROVER_WORKER_COMM_OBJECT_POOL_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "common/base/mutex.h"

namespace drover {

template <typename T>
class ObjectPool {
 public:
  // `make` is called when no object is free; at most `free_max` are kept.
  ObjectPool(std::function<std::unique_ptr<T>()> make, size_t free_max)
      : make_(std::move(make)), state_(std::make_shared<State>()) {
    state_->free_max = free_max;
  }

  // As its last user left it, or new. The one that came back last, which is still in the caches.
  std::shared_ptr<T> Take() {
    std::unique_ptr<T> object = state_->TakeFree();
    if (object == nullptr) object = make_();
    return std::shared_ptr<T>(object.release(), [state = state_](T* returned) {
      state->Return(std::unique_ptr<T>(returned));
    });
  }

 private:
  struct State {
    std::unique_ptr<T> TakeFree() {
      MutexLock lock(&mutex);
      if (free.empty()) return nullptr;
      std::unique_ptr<T> object = std::move(free.back());
      free.pop_back();
      return object;
    }
    void Return(std::unique_ptr<T> object) {  // Freed outside the lock if there are enough.
      MutexLock lock(&mutex);
      if (free.size() < free_max) free.push_back(std::move(object));
    }

    Mutex mutex;
    size_t free_max = 0;
    std::vector<std::unique_ptr<T>> free DROVER_GUARDED_BY(mutex);
  };

  const std::function<std::unique_ptr<T>()> make_;
  const std::shared_ptr<State> state_;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_OBJECT_POOL_H_
