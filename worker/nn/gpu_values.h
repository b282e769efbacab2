// Arrays in the memory of a GPU as its layers pass them on. What lies between two layers is
// float32, or bfloat16 for Precision::kBf16, which halves the traffic and is what its products
// read. Plain values; nothing is owned.

#ifndef DROVER_WORKER_NN_GPU_VALUES_H_
#define DROVER_WORKER_NN_GPU_VALUES_H_

#include <cstddef>
#include <cstdint>

#include "worker/nn/layer.h"

namespace drover {

enum class ValueType : uint8_t { kF32, kBf16 };

constexpr size_t BytesOf(ValueType type) {
  return type == ValueType::kBf16 ? sizeof(uint16_t) : sizeof(float);
}

// What lies between two layers.
constexpr ValueType ActivationType(Precision precision) {
  return precision == Precision::kBf16 ? ValueType::kBf16 : ValueType::kF32;
}

// Device memory at a multiple of 16 bytes, unless said otherwise; `data` may be null where nothing
// is wanted.
struct GpuValues {
  void* data = nullptr;
  ValueType type = ValueType::kF32;
};
struct ConstGpuValues {
  ConstGpuValues() = default;
  ConstGpuValues(const void* the_data, ValueType the_type) : data(the_data), type(the_type) {}
  ConstGpuValues(
      const GpuValues& values)  // NOLINT(google-explicit-constructor): as T* to const T*.
      : data(values.data), type(values.type) {}

  const void* data = nullptr;
  ValueType type = ValueType::kF32;
};

// The values from element `offset` on.
inline GpuValues operator+(const GpuValues& values, int64_t offset) {
  return {
      static_cast<std::byte*>(values.data) + offset * static_cast<int64_t>(BytesOf(values.type)),
      values.type};
}
inline ConstGpuValues operator+(const ConstGpuValues& values, int64_t offset) {
  return {static_cast<const std::byte*>(values.data) +
              offset * static_cast<int64_t>(BytesOf(values.type)),
          values.type};
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_VALUES_H_
