// Pairs with bert_pretraining_gpu.h. Rows are moved by one block each, 4 values per thread where
// they divide a row. Gather reads and writes each row once; scatter writes each token's row once
// and reads what was asked of it.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/bert_pretraining_gpu.h"
#include "worker/nn/gpu_access.cuh"

namespace drover {
namespace {

constexpr int kThreads = 128;
constexpr int kWarp = 32;

// kWidth neighbouring values, 1 or 4; in the second case `row` begins at a multiple of 4 values.
template <int kWidth, typename T>
__device__ __forceinline__ void ReadRow(const T* row, int64_t j, float (&to)[kWidth]) {
  if constexpr (kWidth == 1) {
    to[0] = ValueAt(row, j);
  } else if constexpr (std::is_same_v<T, float>) {
    ReadFour(row + j, 4, to);
  } else {
    uint16_t bits[4];
    ReadFourStreaming(row + j, 4, bits);
    DROVER_UNROLL
    for (int k = 0; k < 4; ++k) to[k] = FromBf16(bits[k]);
  }
}

template <int kWidth, typename T>
__device__ __forceinline__ void WriteRow(T* row, int64_t j, const float (&from)[kWidth]) {
  if constexpr (kWidth == 1) {
    SetValue(row, j, from[0]);
  } else if constexpr (std::is_same_v<T, float>) {
    WriteFour(row + j, 4, from);
  } else {
    uint16_t bits[4];
    DROVER_UNROLL
    for (int k = 0; k < 4; ++k) bits[k] = ToBf16(from[k]);
    WriteFourStreaming(row + j, 4, bits);
  }
}

__device__ __forceinline__ bool Asks(const MaskedEntries& masked, int64_t entry) {
  return entry < masked.samples * masked.entries && masked.labels[entry] >= 0;
}

// One warp per sample.
__global__ void __launch_bounds__(kWarp) SharesKernel(MaskedEntries masked, double* shares) {
  const int64_t sample = blockIdx.x;
  int asked = 0;
  for (int64_t begin = 0; begin < masked.entries; begin += kWarp) {
    const int64_t entry = begin + threadIdx.x;
    const bool asks = entry < masked.entries && Asks(masked, sample * masked.entries + entry);
    asked += __popc(__ballot_sync(0xffffffffu, asks ? 1 : 0));
  }
  if (threadIdx.x == 0) shares[sample] = asked == 0 ? 0.0 : 1.0 / asked;
}

// Blocks 0 to B * M - 1 move a masked row, the next B a first one.
template <int kWidth, typename T>
__global__ void __launch_bounds__(kThreads)
    GatherKernel(MaskedEntries masked, const T* input, T* rows, T* first) {
  const int64_t entries = masked.micro_batch * masked.entries;
  const int64_t block = blockIdx.x;
  int64_t from = -1;  // The token's row; below 0: there is none.
  if (block >= entries) {
    if (block - entries < masked.samples) from = (block - entries) * masked.tokens;
  } else if (Asks(masked, block)) {
    from = block / masked.entries * masked.tokens + masked.positions[block];
  }
  T* const to =
      block < entries ? rows + block * masked.size : first + (block - entries) * masked.size;
  for (int64_t j = int64_t{threadIdx.x} * kWidth; j < masked.size; j += kThreads * kWidth) {
    float values[kWidth] = {};
    if (from >= 0) ReadRow<kWidth>(input + from * masked.size, j, values);
    WriteRow<kWidth>(to, j, values);
  }
}

// One block per token, whose warps each look through the entries of its sample, 32 at a time.
template <int kWidth, typename T>
__global__ void __launch_bounds__(kThreads)
    ScatterKernel(MaskedEntries masked, const T* rows, const T* first, T* input_gradient) {
  const int64_t row = blockIdx.x;
  const int64_t sample = row / masked.tokens;
  const int64_t token = row % masked.tokens;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  // Every thread makes every round, so that warps stay together.
  for (int64_t begin = 0; begin < masked.size; begin += kThreads * kWidth) {
    const int64_t j = begin + int64_t{threadIdx.x} * kWidth;
    const bool has_values = j < masked.size;
    float sums[kWidth] = {};
    float values[kWidth];
    for (int64_t some = 0; some < masked.entries; some += kWarp) {
      const int64_t own = sample * masked.entries + some + lane;
      const bool is_here =
          some + lane < masked.entries && Asks(masked, own) && masked.positions[own] == token;
      uint32_t found = __ballot_sync(0xffffffffu, is_here ? 1 : 0);
      for (; found != 0; found &= found - 1) {
        const int64_t entry = sample * masked.entries + some + __ffs(static_cast<int>(found)) - 1;
        if (!has_values) continue;
        ReadRow<kWidth>(rows + entry * masked.size, j, values);
        DROVER_UNROLL
        for (int k = 0; k < kWidth; ++k) sums[k] += values[k];
      }
    }
    if (!has_values) continue;
    if (token == 0) {
      ReadRow<kWidth>(first + sample * masked.size, j, values);
      DROVER_UNROLL
      for (int k = 0; k < kWidth; ++k) sums[k] += values[k];
    }
    WriteRow<kWidth>(input_gradient + row * masked.size, j, sums);
  }
}

template <int kWidth, typename T>
void LaunchGather(const MaskedEntries& masked, const T* input, T* rows, T* first,
                  const GpuStream& stream) {
  const auto blocks = static_cast<uint32_t>(masked.micro_batch * (masked.entries + 1));
  DROVER_LAUNCH((GatherKernel<kWidth, T>), blocks, kThreads, 0,
                static_cast<cudaStream_t>(stream.handle()), masked, input, rows, first);
}

template <int kWidth, typename T>
void LaunchScatter(const MaskedEntries& masked, const T* rows, const T* first, T* input_gradient,
                   const GpuStream& stream) {
  const auto blocks = static_cast<uint32_t>(masked.micro_batch * masked.tokens);
  DROVER_LAUNCH((ScatterKernel<kWidth, T>), blocks, kThreads, 0,
                static_cast<cudaStream_t>(stream.handle()), masked, rows, first, input_gradient);
}

}  // namespace

Status MaskedSharesOnGpu(const MaskedEntries& masked, double* shares, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  DROVER_LAUNCH(SharesKernel, static_cast<uint32_t>(masked.micro_batch), kWarp, 0,
                static_cast<cudaStream_t>(stream.handle()), masked, shares);
  return LaunchStatus("MaskedShares");
}

Status GatherRowsOnGpu(const MaskedEntries& masked, ConstGpuValues input, GpuValues rows,
                       GpuValues first, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  ForType(rows, [&](auto* to) {
    using T = std::remove_cvref_t<decltype(*to)>;
    const auto* const from = static_cast<const T*>(input.data);
    auto* const to_first = static_cast<T*>(first.data);
    if (masked.size % 4 == 0) {
      LaunchGather<4>(masked, from, to, to_first, stream);
    } else {
      LaunchGather<1>(masked, from, to, to_first, stream);
    }
  });
  return LaunchStatus("GatherRows");
}

Status ScatterRowsOnGpu(const MaskedEntries& masked, ConstGpuValues rows, ConstGpuValues first,
                        GpuValues input_gradient, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  ForType(input_gradient, [&](auto* to) {
    using T = std::remove_cvref_t<decltype(*to)>;
    const auto* const from = static_cast<const T*>(rows.data);
    const auto* const from_first = static_cast<const T*>(first.data);
    if (masked.size % 4 == 0) {
      LaunchScatter<4>(masked, from, from_first, to, stream);
    } else {
      LaunchScatter<1>(masked, from, from_first, to, stream);
    }
  });
  return LaunchStatus("ScatterRows");
}

}  // namespace drover
