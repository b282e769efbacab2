// Large arrays in the host's memory that a device reads and writes: pinned where a GPU computes, so
// that its copy engine needs no help, plain memory else. One owner at a time; what is inside is
// shared as its user decides.

#ifndef DROVER_WORKER_COMM_HOST_ARRAY_H_
#define DROVER_WORKER_COMM_HOST_ARRAY_H_

#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "common/tensor/buffer.h"

namespace drover {

// So many bytes, aligned to a cache line, not zeroed; freed with the last reference. Never null.
using HostMemoryMaker = std::function<std::shared_ptr<std::byte>(size_t bytes)>;

inline std::shared_ptr<std::byte> PlainHostMemory(size_t bytes) {
  auto buffer = std::make_shared<Buffer<std::byte>>(bytes);
  return {buffer, buffer->data()};
}

template <typename T>
class HostArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  HostArray() = default;
  static HostArray Zeroed(size_t size, const HostMemoryMaker& make = PlainHostMemory) {
    HostArray array;
    if (size == 0) return array;
    array.memory_ = make(size * sizeof(T));
    array.size_ = size;
    std::memset(array.memory_.get(), 0, size * sizeof(T));
    return array;
  }

  T* data() { return reinterpret_cast<T*>(memory_.get()); }
  const T* data() const { return reinterpret_cast<const T*>(memory_.get()); }
  size_t size() const { return size_; }
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }

 private:
  std::shared_ptr<std::byte> memory_;
  size_t size_ = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_HOST_ARRAY_H_
