#include "server/shard/versions.h"

#include <utility>

#include "common/base/mutex.h"

namespace drover {

// Shared with every buffer in use, so that the last reader may return it when we are gone.
struct WeightBuffers::Pool {
  explicit Pool(size_t size) : elements(size) {}

  void Return(std::unique_ptr<FloatBuffer> buffer) DROVER_EXCLUDES(mutex) {
    std::unique_ptr<FloatBuffer> dropped;  // Freed outside the lock.
    MutexLock lock(&mutex);
    if (made > kBuffers) {
      --made;
      dropped = std::move(buffer);
      return;
    }
    free.push_back(std::move(buffer));
    returned.NotifyAll();
  }

  const size_t elements;
  Mutex mutex;
  CondVar returned;
  std::vector<std::unique_ptr<FloatBuffer>> free DROVER_GUARDED_BY(mutex);
  size_t made DROVER_GUARDED_BY(mutex) = 0;  // Free or in use.
};

namespace {

template <typename Pool>
std::shared_ptr<FloatBuffer> Lend(const std::shared_ptr<Pool>& pool,
                                  std::unique_ptr<FloatBuffer> buffer) {
  return std::shared_ptr<FloatBuffer>(buffer.release(), [pool](FloatBuffer* done) {
    pool->Return(std::unique_ptr<FloatBuffer>(done));
  });
}

}  // namespace

WeightBuffers::WeightBuffers(size_t elements) : pool_(std::make_shared<Pool>(elements)) {}

WeightBuffers::~WeightBuffers() = default;

std::shared_ptr<FloatBuffer> WeightBuffers::Acquire(Duration timeout) {
  std::unique_ptr<FloatBuffer> buffer;
  {
    MutexLock lock(&pool_->mutex);
    while (pool_->free.empty() && pool_->made >= kBuffers) {
      if (!pool_->returned.WaitFor(&pool_->mutex, timeout)) break;
    }
    if (!pool_->free.empty()) {
      buffer = std::move(pool_->free.back());
      pool_->free.pop_back();
    } else if (pool_->made >= kBuffers) {
      return nullptr;
    } else {
      ++pool_->made;
    }
  }
  if (buffer == nullptr) {
    buffer = std::make_unique<FloatBuffer>(FloatBuffer::Zeroed(pool_->elements));
  }
  return Lend(pool_, std::move(buffer));
}

std::shared_ptr<FloatBuffer> WeightBuffers::AcquireExtra() {
  if (std::shared_ptr<FloatBuffer> buffer = Acquire(Duration(0))) return buffer;
  {
    MutexLock lock(&pool_->mutex);
    ++pool_->made;
  }
  return Lend(pool_, std::make_unique<FloatBuffer>(FloatBuffer::Zeroed(pool_->elements)));
}

size_t WeightBuffers::bytes() const {
  MutexLock lock(&pool_->mutex);
  return pool_->made * pool_->elements * sizeof(float);
}

}  // namespace drover
