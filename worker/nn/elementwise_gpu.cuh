// Kernels that compute each value by itself: a layer gives a formula, a struct whose operator() is
// a __device__ function of float32. One vector of 16 bytes per thread; each array is read or
// written once.

#ifndef DROVER_WORKER_NN_ELEMENTWISE_GPU_CUH_
#define DROVER_WORKER_NN_ELEMENTWISE_GPU_CUH_

#include <stdint.h>

#include <type_traits>

#include "common/base/status.h"
#include "common/gpu/cuda_status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_vectors.cuh"

namespace drover {

inline constexpr int kElementwiseThreads = 256;

// The values that thread `thread` of all has: those from `first` on, at most kVectorOf<T> of them.
template <typename T, typename Whole, typename Single>
__device__ __forceinline__ void ForOwnValues(int64_t count, const Whole& whole,
                                             const Single& single) {
  constexpr int kWidth = kVectorOf<T>;
  const int64_t first = (int64_t{blockIdx.x} * kElementwiseThreads + threadIdx.x) * kWidth;
  if (first + kWidth <= count) return whole(first);
  for (int64_t i = first; i < count; ++i) single(i);
}

// out[i] = formula(a[i]); out may be a.
template <typename T, typename Formula>
__global__ void __launch_bounds__(kElementwiseThreads)
    MapKernel(int64_t count, const T* a, T* out, Formula formula) {
  ForOwnValues<T>(
      count,
      [&](int64_t first) {
        float values[kVectorOf<T>];
        ReadVector(a + first, values);
        DROVER_UNROLL
        for (int k = 0; k < kVectorOf<T>; ++k) values[k] = formula(values[k]);
        WriteVector(out + first, values);
      },
      [&](int64_t i) { SetValue(out, i, formula(ValueAt(a, i))); });
}

// out[i] = formula(a[i], b[i]); out may be a or b.
template <typename T, typename Formula>
__global__ void __launch_bounds__(kElementwiseThreads)
    MapPairsKernel(int64_t count, const T* a, const T* b, T* out, Formula formula) {
  ForOwnValues<T>(
      count,
      [&](int64_t first) {
        float values[kVectorOf<T>], others[kVectorOf<T>];
        ReadVector(a + first, values);
        ReadVector(b + first, others);
        DROVER_UNROLL
        for (int k = 0; k < kVectorOf<T>; ++k) values[k] = formula(values[k], others[k]);
        WriteVector(out + first, values);
      },
      [&](int64_t i) { SetValue(out, i, formula(ValueAt(a, i), ValueAt(b, i))); });
}

template <typename T>
uint32_t ElementwiseBlocks(int64_t count) {
  constexpr int64_t kPerBlock = int64_t{kElementwiseThreads} * kVectorOf<T>;
  return static_cast<uint32_t>((count + kPerBlock - 1) / kPerBlock);
}

// Enqueue them. All arrays are of one type; `what` names the operation in an error. `rounded` takes
// the place of `formula` where the result is rounded to bfloat16: it may be less exact.
template <typename Formula, typename RoundedFormula = Formula>
Status MapOnGpu(const char* what, const GpuStream& stream, int64_t count, ConstGpuValues a,
                GpuValues out, Formula formula, RoundedFormula rounded = RoundedFormula()) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const auto launch = [&](auto* to, auto what_to_compute) {
    using T = std::remove_cvref_t<decltype(*to)>;
    DROVER_LAUNCH((MapKernel<T, decltype(what_to_compute)>), ElementwiseBlocks<T>(count),
                  kElementwiseThreads, 0, handle, count, static_cast<const T*>(a.data), to,
                  what_to_compute);
  };
  if (out.type == ValueType::kBf16) {
    launch(static_cast<uint16_t*>(out.data), rounded);
  } else {
    launch(static_cast<float*>(out.data), formula);
  }
  return LaunchStatus(what);
}
template <typename Formula, typename RoundedFormula = Formula>
Status MapPairsOnGpu(const char* what, const GpuStream& stream, int64_t count, ConstGpuValues a,
                     ConstGpuValues b, GpuValues out, Formula formula,
                     RoundedFormula rounded = RoundedFormula()) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const auto launch = [&](auto* to, auto what_to_compute) {
    using T = std::remove_cvref_t<decltype(*to)>;
    DROVER_LAUNCH((MapPairsKernel<T, decltype(what_to_compute)>), ElementwiseBlocks<T>(count),
                  kElementwiseThreads, 0, handle, count, static_cast<const T*>(a.data),
                  static_cast<const T*>(b.data), to, what_to_compute);
  };
  if (out.type == ValueType::kBf16) {
    launch(static_cast<uint16_t*>(out.data), rounded);
  } else {
    launch(static_cast<float*>(out.data), formula);
  }
  return LaunchStatus(what);
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_ELEMENTWISE_GPU_CUH_
