// Reading and writing activations in kernels: float32 in registers, whatever lies in memory. The
// type of an array is a template parameter, `float` or `uint16_t` (the bits of a bfloat16);
// ForType turns a ValueType into it.

#ifndef DROVER_WORKER_NN_GPU_ACCESS_CUH_
#define DROVER_WORKER_NN_GPU_ACCESS_CUH_

#include <stdint.h>

#include "common/gpu/access.cuh"
#include "common/gpu/kernel.h"
#include "common/tensor/bf16.h"
#include "worker/nn/gpu_values.h"

namespace drover {

__device__ __forceinline__ float ValueAt(const float* values, int64_t i) { return values[i]; }
__device__ __forceinline__ float ValueAt(const uint16_t* values, int64_t i) {
  return FromBf16(values[i]);
}

__device__ __forceinline__ void SetValue(float* values, int64_t i, float value) {
  values[i] = value;
}
__device__ __forceinline__ void SetValue(uint16_t* values, int64_t i, float value) {
  values[i] = ToBf16(value);
}

// Calls body(pointer) with `values.data` as a pointer to its type; const or not as in `values`.
template <typename Body>
auto ForType(const GpuValues& values, const Body& body) {
  if (values.type == ValueType::kBf16) return body(static_cast<uint16_t*>(values.data));
  return body(static_cast<float*>(values.data));
}
template <typename Body>
auto ForType(const ConstGpuValues& values, const Body& body) {
  if (values.type == ValueType::kBf16) return body(static_cast<const uint16_t*>(values.data));
  return body(static_cast<const float*>(values.data));
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_ACCESS_CUH_
