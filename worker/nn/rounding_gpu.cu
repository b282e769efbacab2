// Pairs with rounding_gpu.h: 6 bytes per element, widening with a copy 8.

#include "common/gpu/access.cuh"
#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "common/tensor/bf16.h"
#include "worker/nn/rounding_gpu.h"

namespace drover {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kElements = 4 * kThreads;  // Of a block.

__global__ void __launch_bounds__(kThreads)
    RoundKernel(int64_t count, const float* from, uint16_t* to) {
  const int64_t first = int64_t{blockIdx.x} * kElements + 4 * int64_t{threadIdx.x};
  if (first >= count) return;
  const int left = count - first < 4 ? static_cast<int>(count - first) : 4;
  float values[4] = {};
  ReadFourStreaming(from + first, left, values);
  uint16_t rounded[4];
  DROVER_UNROLL
  for (int k = 0; k < 4; ++k) rounded[k] = ToBf16(values[k]);
  WriteFourStreaming(to + first, left, rounded);
}

__global__ void __launch_bounds__(kThreads)
    WidenKernel(int64_t count, const uint16_t* from, float* to, uint16_t* copy) {
  const int64_t first = int64_t{blockIdx.x} * kElements + 4 * int64_t{threadIdx.x};
  if (first >= count) return;
  const int left = count - first < 4 ? static_cast<int>(count - first) : 4;
  uint16_t values[4] = {};
  ReadFourStreaming(from + first, left, values);
  float wide[4];
  DROVER_UNROLL
  for (int k = 0; k < 4; ++k) wide[k] = FromBf16(values[k]);
  WriteFourStreaming(to + first, left, wide);
  if (copy != nullptr) WriteFourStreaming(copy + first, left, values);
}

}  // namespace

Status RoundToBf16OnGpu(int64_t count, const float* from, uint16_t* to, const GpuStream& stream) {
  if (count == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto blocks = static_cast<uint32_t>((count + kElements - 1) / kElements);
  DROVER_LAUNCH(RoundKernel, blocks, kThreads, 0, static_cast<cudaStream_t>(stream.handle()), count,
                from, to);
  return LaunchStatus("RoundKernel");
}

Status WidenBf16OnGpu(int64_t count, const uint16_t* from, float* to, uint16_t* copy,
                      const GpuStream& stream) {
  if (count == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto blocks = static_cast<uint32_t>((count + kElements - 1) / kElements);
  DROVER_LAUNCH(WidenKernel, blocks, kThreads, 0, static_cast<cudaStream_t>(stream.handle()), count,
                from, to, copy);
  return LaunchStatus("WidenKernel");
}

}  // namespace drover
