// Forward pass of attention_gpu.h with float32 FMA: any type, any head size. A block has 32 queries
// of one head and goes over that head's keys in tiles of 32.
//
// Reads q, k, v and writes c once from and to device memory, as far as a head's keys and values
// (8 S D bytes in float32) stay in the cache: 16 bytes per value of q. 4 S D operations per row of
// a head; each FMA reads 0.75 values of shared memory, which bounds the speed at about a third of
// the FMA units.

#include <cmath>
#include <type_traits>

#include "common/base/exact_math.h"
#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/attention_gpu.h"
#include "worker/nn/attention_tiles.cuh"
#include "worker/nn/float_exp.h"

namespace drover {
namespace {

constexpr int kTile = 32;
constexpr int kRows = kTile / kTileRowThreads;        // Per thread.
constexpr int kColumns = kTile / kTileColumnThreads;  // Likewise.

// Of one row, in all 8 threads that share it.
struct RowState {
  float largest = -INFINITY;
  float sum = 0.0f;  // Of exponentials; only of this thread's columns.
};

__device__ __forceinline__ float LargestOfRow(float x) {
  DROVER_UNROLL
  for (int lanes = kTileColumnThreads / 2; lanes > 0; lanes /= 2) {
    x = max(x, __shfl_xor_sync(0xffffffffu, x, lanes));
  }
  return x;
}

__device__ __forceinline__ float SumOfRow(float x) {
  DROVER_UNROLL
  for (int lanes = kTileColumnThreads / 2; lanes > 0; lanes /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, lanes);
  }
  return x;
}

// Scores of this thread become exponentials relative to the row's largest score so far. Returns
// what sums of earlier tiles are to be multiplied with.
__device__ __forceinline__ float Exponentials(float scale, int columns_left, int tx,
                                              float (&scores)[kColumns], RowState* state) {
  float largest = -INFINITY;
  DROVER_UNROLL
  for (int j = 0; j < kColumns; ++j) {
    scores[j] = tx * kColumns + j < columns_left ? scores[j] * scale : -INFINITY;
    largest = max(largest, scores[j]);
  }
  // Column 0 is always real: from the first tile on, this is finite.
  largest = max(state->largest, LargestOfRow(largest));
  const float correction = ExpOfNonPositive(state->largest - largest);
  state->largest = largest;
  state->sum *= correction;
  DROVER_UNROLL
  for (int j = 0; j < kColumns; ++j) {
    scores[j] = ExpOfNonPositive(scores[j] - largest);
    state->sum += scores[j];
  }
  return correction;
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionForwardKernel(AttentionCall call, float scale, const T* query, const T* key,
                           const T* value, T* context, float* log_sums) {
  DROVER_SHARED_ARRAY(float, queries, kTile*(kWidth + 1));
  DROVER_SHARED_ARRAY(float, others, kTile*(kWidth + 1));  // Keys, then values.
  DROVER_SHARED_ARRAY(float, weights, kTile*(kTile + 1));
  const AttentionBlock block = BlockOf(call, kTile);
  const int64_t stride = call.heads * call.head_size;
  const auto head_size = static_cast<int>(call.head_size);
  const int64_t head = HeadOffset(call, block);
  const int rows = min(kTile, static_cast<int>(call.tokens) - block.first);
  T* const to = context + head + block.first * stride;
  if (block.first >= block.length) return ZeroRows(rows, head_size, stride, to);

  const int ty = static_cast<int>(threadIdx.x) / kTileColumnThreads;
  const int tx = static_cast<int>(threadIdx.x) % kTileColumnThreads;
  const HeadDropout dropout(call, block);
  RowState states[kRows];
  float sums[kRows][kWidth / kTileColumnThreads] = {};
  LoadTile<kTile, kWidth>(query + head + block.first * stride, stride, block.length - block.first,
                          head_size, queries);
  for (int first = 0; first < block.length; first += kTile) {
    const int left = block.length - first;
    LoadTile<kTile, kWidth>(key + head + first * stride, stride, left, head_size, others);
    __syncthreads();
    float scores[kRows][kColumns];
    MultiplyRows<kWidth>(queries, others, ty, tx, scores);
    DROVER_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const int row = ty + kTileRowThreads * i;
      const float correction = Exponentials(scale, left, tx, scores[i], &states[i]);
      DROVER_UNROLL
      for (float& sum : sums[i]) sum *= correction;
      uint32_t struck = 0;
      if (call.dropping) {
        struck = dropout.StruckOut<kColumns>(block.first + row, first + tx * kColumns);
      }
      DROVER_UNROLL
      for (int j = 0; j < kColumns; ++j) {
        const bool stays = ((struck >> j) & 1u) == 0;
        weights[row * (kTile + 1) + tx * kColumns + j] = stays ? scores[i][j] : 0.0f;
      }
    }
    __syncthreads();
    LoadTile<kTile, kWidth>(value + head + first * stride, stride, left, head_size, others);
    __syncthreads();
    AddProduct<false, kTile, kWidth>(weights, others, ty, tx, sums);
    __syncthreads();
  }

  DROVER_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const int row = block.first + ty + kTileRowThreads * i;
    const float total = SumOfRow(states[i].sum);
    if (tx == 0 && row < block.length) {
      log_sums[HeadRows(call, block) + row] =
          static_cast<float>(static_cast<double>(states[i].largest) + ExactLog(total));
    }
    const float inverse = (call.dropping ? call.dropout.scale : 1.0f) / total;
    DROVER_UNROLL
    for (float& sum : sums[i]) sum *= inverse;
  }
  WriteRows(sums, 1.0f, ty, tx, rows, block.length - block.first, head_size, stride, to);
}

}  // namespace

Status AttentionForwardGpu(const AttentionCall& call, ConstGpuValues query, ConstGpuValues key,
                           ConstGpuValues value, GpuValues context, float* log_sums,
                           const GpuStream& stream) {
  if (AttentionUsesTensorCores(context.type, call.head_size)) {
    return AttentionForwardTensorGpu(call, query, key, value, context, log_sums, stream);
  }
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  ForType(context, [&](auto* to) {
    using T = std::remove_cvref_t<decltype(*to)>;
    ForHeadWidth(call.head_size, [&](auto width) {
      DROVER_LAUNCH((AttentionForwardKernel<T, decltype(width)::value>),
                    AttentionBlocks(call, kTile), kAttentionThreads, 0,
                    static_cast<cudaStream_t>(stream.handle()), call, ScoreScale(call),
                    static_cast<const T*>(query.data), static_cast<const T*>(key.data),
                    static_cast<const T*>(value.data), to, log_sums);
    });
  });
  return LaunchStatus("AttentionForward");
}

}  // namespace drover
