// Owned memory for large arrays: aligned to a cache line, or to a huge page when it is larger than
// one, so that the kernel can back it with huge pages. Not zeroed unless asked: an accumulator's
// first arrival stores, and touching pages twice costs. No arithmetic, no shape. One owner at a
// time; what is inside is shared as its user decides.

#ifndef DROVER_COMMON_TENSOR_BUFFER_H_
#define DROVER_COMMON_TENSOR_BUFFER_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "common/base/check.h"

namespace drover {

inline constexpr size_t kCacheLineBytes = 64;
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// An array of `size()` T, uninitialised after construction. Empty after a move. Out of memory
// aborts: sizes come from layouts that were checked before.
template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size) {
    if (size == 0) return;
    const size_t wanted = size * sizeof(T);
    DROVER_CHECK(wanted / sizeof(T) == size);
    const size_t alignment = wanted >= kHugePageBytes ? kHugePageBytes : kCacheLineBytes;
    const size_t rounded = (wanted + alignment - 1) / alignment * alignment;
    data_.reset(static_cast<T*>(std::aligned_alloc(alignment, rounded)));
    DROVER_CHECK(data_ != nullptr);
    // Advice: a kernel without huge pages answers with an error, which changes nothing.
    if (alignment == kHugePageBytes) (void)madvise(data_.get(), rounded, MADV_HUGEPAGE);
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  static Buffer Zeroed(size_t size) {
    Buffer buffer(size);
    if (size > 0) std::memset(static_cast<void*>(buffer.data()), 0, size * sizeof(T));
    return buffer;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };

  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

using FloatBuffer = Buffer<float>;

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_BUFFER_H_
