// Pairs with accumulate_gpu.h. Inputs are read twice, first to be checked: the second time they are
// still in the cache, and a bad one has changed nothing.

#include <math.h>

#include <string>

#include "common/gpu/access.cuh"
#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "common/tensor/accumulate_gpu.h"
#include "common/tensor/bf16.h"

namespace drover {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kRows = 4;  // Of four neighbouring elements per thread.
constexpr unsigned kBlockElements = kRows * kThreads * 4;

struct Inputs {
  AccumulateInput of[kAccumulateInputsMax];
  uint32_t count;
};

__device__ __forceinline__ int64_t FirstOfQuad(uint32_t row) {
  return int64_t{blockIdx.x} * kBlockElements + int64_t{row} * kThreads * 4 +
         int64_t{threadIdx.x} * 4;
}

__device__ __forceinline__ int LeftOf(int64_t first, uint32_t count) {
  const int64_t left = int64_t{count} - first;
  return left < 4 ? static_cast<int>(left < 0 ? 0 : left) : 4;
}

// float32 of either width: bits, whose order is that of the magnitudes.
__device__ __forceinline__ void ReadBits(const AccumulateInput& input, int64_t first, int left,
                                         float (&values)[4]) {
  if (input.encoding == GradientEncoding::kF32) {
    ReadFour(static_cast<const float*>(input.data) + first, left, values);
    return;
  }
  uint16_t rounded[4] = {};
  ReadFourStreaming(static_cast<const uint16_t*>(input.data) + first, left, rounded);
  for (int k = 0; k < 4; ++k) values[k] = FromBf16(rounded[k]);
}

__device__ __forceinline__ bool IsBad(float value, float limit) {
  return !(fabsf(value) < limit);  // NaN is below nothing.
}

// |q| < limit as one unsigned comparison, as in fixed_point_kernels.cc.
__device__ __forceinline__ bool IsBad(int64_t q, int64_t limit) {
  const uint64_t shift = static_cast<uint64_t>(limit) - 1;
  return static_cast<uint64_t>(q) + shift >= 2 * static_cast<uint64_t>(limit) - 1;
}

__global__ void ForgetBadKernel(uint32_t* bad, uint32_t count) {
  if (threadIdx.x < count) bad[threadIdx.x] = kNoBadElement;
}

// blockIdx.y: the input.
__global__ void __launch_bounds__(kThreads)
    FindBadKernel(Inputs inputs, uint32_t count, uint32_t* bad) {
  const AccumulateInput input = inputs.of[blockIdx.y];
  uint32_t first_bad = kNoBadElement;
  for (uint32_t row = 0; row < kRows; ++row) {
    const int64_t first = FirstOfQuad(row);
    const int left = LeftOf(first, count);
    bool is_bad[4] = {};
    if (input.encoding == GradientEncoding::kI64) {
      int64_t q[4] = {};
      ReadFour(static_cast<const int64_t*>(input.data) + first, left, q);
      for (int k = 0; k < 4; ++k) is_bad[k] = IsBad(q[k], input.limit_i64);
    } else {
      float values[4] = {};
      ReadBits(input, first, left, values);
      for (int k = 0; k < 4; ++k) is_bad[k] = IsBad(values[k], input.limit);
    }
    for (int k = 3; k >= 0; --k) {
      const auto index = static_cast<uint32_t>(first + k);
      if (k < left && is_bad[k] && index < first_bad) first_bad = index;
    }
  }
  if (first_bad != kNoBadElement) MinInteger(&bad[blockIdx.y], first_bad);
}

template <bool kStore>
__global__ void __launch_bounds__(kThreads)
    AccumulateKernel(Inputs inputs, uint32_t count, double scale, const uint32_t* bad,
                     int64_t* sums) {
  for (uint32_t row = 0; row < kRows; ++row) {
    const int64_t first = FirstOfQuad(row);
    const int left = LeftOf(first, count);
    // Unsigned: wraps instead of overflowing, as on the CPU.
    uint64_t total[4] = {};
    bool any = false;
    for (uint32_t i = 0; i < inputs.count; ++i) {
      if (bad[i] != kNoBadElement) continue;
      any = true;
      const AccumulateInput& input = inputs.of[i];
      if (input.encoding == GradientEncoding::kI64) {
        int64_t q[4] = {};
        ReadFourStreaming(static_cast<const int64_t*>(input.data) + first, left, q);
        for (int k = 0; k < 4; ++k) total[k] += static_cast<uint64_t>(q[k]);
      } else {
        float values[4] = {};
        ReadBits(input, first, left, values);
        for (int k = 0; k < 4; ++k) {
          const long long q = llrint(static_cast<double>(values[k]) * scale);
          total[k] += static_cast<uint64_t>(q);
        }
      }
    }
    if (!any) return;
    int64_t sum[4] = {};
    if constexpr (!kStore) ReadFourStreaming(sums + first, left, sum);
    for (int k = 0; k < 4; ++k) {
      sum[k] = static_cast<int64_t>(static_cast<uint64_t>(sum[k]) + total[k]);
    }
    WriteFourStreaming(sums + first, left, sum);
  }
}

}  // namespace

Status AccumulateOnGpu(std::span<const AccumulateInput> inputs, uint32_t count, bool store,
                       double scale, int64_t* sums, uint32_t* bad, const GpuStream& stream) {
  if (inputs.empty() || inputs.size() > kAccumulateInputsMax) {
    return Status(Code::kInvalidArgument,
                  "accumulate on the GPU: " + std::to_string(inputs.size()) +
                      " inputs at once, expected 1 to " + std::to_string(kAccumulateInputsMax));
  }
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  Inputs all{};
  all.count = static_cast<uint32_t>(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) all.of[i] = inputs[i];
  DROVER_LAUNCH(ForgetBadKernel, 1, 32, 0, handle, bad, all.count);
  const auto blocks = static_cast<uint32_t>((count + kBlockElements - 1) / kBlockElements);
  if (blocks > 0) {
    DROVER_LAUNCH(FindBadKernel, dim3(blocks, all.count), kThreads, 0, handle, all, count, bad);
    if (store) {
      DROVER_LAUNCH(AccumulateKernel<true>, blocks, kThreads, 0, handle, all, count, scale, bad,
                    sums);
    } else {
      DROVER_LAUNCH(AccumulateKernel<false>, blocks, kThreads, 0, handle, all, count, scale, bad,
                    sums);
    }
  }
  return LaunchStatus("AccumulateKernel");
}

}  // namespace drover
