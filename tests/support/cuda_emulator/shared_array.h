// What DROVER_SHARED_ARRAY (common/gpu/kernel.h) becomes: an array whose elements are checked at
// every access. Only inside a kernel.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SHARED_ARRAY_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SHARED_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tests/support/cuda_emulator/shared_storage.h"
#include "tests/support/cuda_emulator/site.h"

namespace drover::emulator {

// Stands for one element. Reading and writing need a temporary, name[i], so that `auto x = name[i]`
// does not compile where it would read later than it does on a GPU.
template <typename T>
class SharedElement {
 public:
  SharedElement(SharedStorage* storage, int64_t index) : storage_(storage), index_(index) {}
  SharedElement(const SharedElement&) = delete;

  operator T() const&& {  // NOLINT: reads like the element itself.
    T value;
    storage_->Read(index_, &value);
    return value;
  }
  void operator=(const T& value) && { storage_->Write(index_, &value); }
  void operator=(const SharedElement& other) && {
    const T value = static_cast<const SharedElement&&>(other);
    storage_->Write(index_, &value);
  }
  void operator+=(const T& value) && {
    Update([&](T old) { return old + value; });
  }
  void operator-=(const T& value) && {
    Update([&](T old) { return old - value; });
  }
  void operator*=(const T& value) && {
    Update([&](T old) { return old * value; });
  }
  void operator|=(const T& value) && {
    Update([&](T old) { return old | value; });
  }
  void operator&=(const T& value) && {
    Update([&](T old) { return old & value; });
  }

 private:
  template <typename Change>
  void Update(const Change& change) {
    T value;
    storage_->Read(index_, &value);
    value = static_cast<T>(change(value));
    storage_->Write(index_, &value);
  }

  SharedStorage* const storage_;
  const int64_t index_;
};

template <typename T, size_t kCount>
class SharedArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);

  explicit SharedArray(const char* name, const Site& site = Site::Here())
      : storage_(DeclareShared(name, site, sizeof(T), kCount)) {}

  template <typename Index>
  SharedElement<T> operator[](Index index) const {
    return {storage_, static_cast<int64_t>(index)};
  }

 private:
  SharedStorage* const storage_;
};

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SHARED_ARRAY_H_
