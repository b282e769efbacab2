// Pairs with dropout_gpu.h. Each value is read and written once, and so is what is added; the
// numbers are drawn in registers, four values for one Philox.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/dropout_gpu.h"
#include "worker/nn/gpu_vectors.cuh"

namespace drover {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ float FactorOf(const DropoutDraw& draw, uint32_t struck, int k) {
  return (struck >> k & 1u) != 0 ? 0.0f : draw.scale;
}

// blockIdx.x: the sample, and which part of it. plus: may be null.
template <typename T, bool kAligned>
__global__ void __launch_bounds__(kThreads)
    MultiplyByMaskKernel(int64_t size, uint32_t blocks_per_sample, DropoutDraw draw,
                         const uint64_t* positions, const T* from, const T* plus, T* to) {
  constexpr int kWidth = kAligned ? kVectorOf<T> : 4;
  const uint32_t sample = blockIdx.x / blocks_per_sample;
  const int64_t part = blockIdx.x % blocks_per_sample;
  const int64_t first = (part * kThreads + threadIdx.x) * kWidth;
  if (first >= size) return;
  const uint64_t position = positions == nullptr ? uint64_t{sample} : positions[sample];
  const int64_t start = int64_t{sample} * size + first;
  uint32_t struck = 0;
  DROVER_UNROLL
  for (int k = 0; k < kWidth; k += 4) {
    struck |= draw.StruckOut(position, static_cast<uint64_t>(first + k) / 4) << k;
  }
  if constexpr (kAligned) {
    float values[kWidth];
    ReadVector(from + start, values);
    DROVER_UNROLL
    for (int k = 0; k < kWidth; ++k) values[k] *= FactorOf(draw, struck, k);
    if (plus != nullptr) {
      float others[kWidth];
      ReadVector(plus + start, others);
      DROVER_UNROLL
      for (int k = 0; k < kWidth; ++k) values[k] += others[k];
    }
    WriteVector(to + start, values);
  } else {
    for (int k = 0; k < kWidth && first + k < size; ++k) {
      float value = ValueAt(from, start + k) * FactorOf(draw, struck, k);
      if (plus != nullptr) value += ValueAt(plus, start + k);
      SetValue(to, start + k, value);
    }
  }
}

}  // namespace

Status MultiplyByMaskOnGpu(const GpuStream& stream, int64_t samples, int64_t size,
                           const DropoutDraw& draw, const uint64_t* positions,
                           const MaskedGpuValues& values) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  ForType(values.to, [&](auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    const bool aligned = RowsAreAligned<T>(size);
    const int64_t per_block = int64_t{kThreads} * (aligned ? kVectorOf<T> : 4);
    const auto blocks = static_cast<uint32_t>((size + per_block - 1) / per_block);
    const auto kernel = aligned ? MultiplyByMaskKernel<T, true> : MultiplyByMaskKernel<T, false>;
    DROVER_LAUNCH(kernel, static_cast<uint32_t>(samples) * blocks, kThreads, 0,
                  static_cast<cudaStream_t>(stream.handle()), size, blocks, draw, positions,
                  static_cast<const T*>(values.from.data), static_cast<const T*>(values.plus.data),
                  typed);
  });
  return LaunchStatus("Dropout");
}

}  // namespace drover
