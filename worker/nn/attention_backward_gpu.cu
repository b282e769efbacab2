// Backward pass of attention_gpu.h with float32 FMA: any type, any head size. One kernel per sum,
// so that each number is added up by one block, in the order of the tokens:
//   dots      a warp per row of a head; reads c and dc once
//   dk, dv    a block per 32 keys (16 for heads above 64), over tiles of as many queries
//   dq        a block per as many queries, over tiles of keys
// The latter two both compute p and g: 8 S D and 6 S D operations per row of a head. Each reads q,
// k, v and dc once from device memory, as far as a head stays in the cache, and together they write
// three gradients: 44 bytes per value of q in float32, 8 more for dots.

#include <cmath>
#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/attention_gpu.h"
#include "worker/nn/attention_tiles.cuh"
#include "worker/nn/float_exp.h"

namespace drover {
namespace {

// Four tiles of a head's values fit into 48 KiB.
template <int kWidth>
inline constexpr int kTileOf = kWidth == 128 ? 16 : 32;

template <typename T>
struct Arrays {
  const T* query;
  const T* key;
  const T* value;
  const T* context_gradient;
  const float* log_sums;
  const float* dots;
  T* gradients;
};

constexpr int kGradientParts = 3;  // dq, dk, dv.

template <typename T>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionDotsKernel(AttentionCall call, const T* context, const T* context_gradient,
                        float* dots) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t index = int64_t{blockIdx.x} * (kAttentionThreads / 32) + threadIdx.x / 32;
  if (index >= call.samples * call.tokens * call.heads) return;
  // Of [B, S, A]: neighbouring warps read neighbouring heads of one row.
  const int64_t head = index % call.heads;
  const int64_t token = index / call.heads % call.tokens;
  const int64_t sample = index / call.heads / call.tokens;
  if (call.lengths != nullptr && token > 0 && token >= call.lengths[sample]) return;
  float sum = 0.0f;
  for (int64_t d = lane; d < call.head_size; d += 32) {
    const int64_t at = index * call.head_size + d;
    sum = fmaf(ValueAt(context, at), ValueAt(context_gradient, at), sum);
  }
  DROVER_UNROLL
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  if (lane == 0) dots[(sample * call.heads + head) * call.tokens + token] = sum;
}

// Probabilities after dropout and ds of a tile, from its scores and from dc v^T, in place.
template <int kRows, int kColumns, typename T>
__device__ __forceinline__ void Derive(const AttentionCall& call, const AttentionBlock& block,
                                       const HeadDropout& dropout, float scale,
                                       const Arrays<T>& arrays, int first_row, int first_column,
                                       float (&scores)[kRows][kColumns],
                                       float (&gradients)[kRows][kColumns]) {
  const float kept_scale = call.dropping ? call.dropout.scale : 1.0f;
  DROVER_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const int row = first_row + kTileRowThreads * i;
    const bool is_row = row < block.length;
    const float log_sum = is_row ? arrays.log_sums[HeadRows(call, block) + row] : 0.0f;
    const float dot = is_row ? arrays.dots[HeadRows(call, block) + row] : 0.0f;
    uint32_t struck = 0;
    if (call.dropping) struck = dropout.StruckOut<kColumns>(row, first_column);
    DROVER_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      const bool is_there = is_row && first_column + j < block.length;
      const float p = is_there ? ExpOfNonPositive(scores[i][j] * scale - log_sum) : 0.0f;
      const float stays = ((struck >> j) & 1u) == 0 ? kept_scale : 0.0f;
      scores[i][j] = p * stays;
      gradients[i][j] = p * (stays * gradients[i][j] - dot);
    }
  }
}

template <int kTile, int kRows, int kColumns, typename Array>
__device__ __forceinline__ void StoreTile(const float (&from)[kRows][kColumns], int ty, int tx,
                                          Array& to) {
  DROVER_UNROLL
  for (int i = 0; i < kRows; ++i) {
    DROVER_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      to[(ty + kTileRowThreads * i) * (kTile + 1) + tx * kColumns + j] = from[i][j];
    }
  }
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionKeysKernel(AttentionCall call, float scale, Arrays<T> arrays) {
  constexpr int kTile = kTileOf<kWidth>;
  constexpr int kRows = kTile / kTileRowThreads;
  constexpr int kColumns = kTile / kTileColumnThreads;
  DROVER_SHARED_ARRAY(float, keys, kTile*(kWidth + 1));
  DROVER_SHARED_ARRAY(float, values, kTile*(kWidth + 1));
  DROVER_SHARED_ARRAY(float, queries, kTile*(kWidth + 1));
  DROVER_SHARED_ARRAY(float, outputs, kTile*(kWidth + 1));  // Gradients of c.
  DROVER_SHARED_ARRAY(float, weights, kTile*(kTile + 1));   // Probabilities, then ds.
  const AttentionBlock block = BlockOf(call, kTile);
  const int64_t stride = call.heads * call.head_size;
  const auto head_size = static_cast<int>(call.head_size);
  const int64_t head = HeadOffset(call, block);
  const int rows = min(kTile, static_cast<int>(call.tokens) - block.first);
  const int64_t to_stride = kGradientParts * stride;
  T* const dk =
      arrays.gradients + HeadOffset(call, block, kGradientParts, 1) + block.first * to_stride;
  T* const dv =
      arrays.gradients + HeadOffset(call, block, kGradientParts, 2) + block.first * to_stride;
  if (block.first >= block.length) {
    ZeroRows(rows, head_size, to_stride, dk);
    return ZeroRows(rows, head_size, to_stride, dv);
  }

  const int ty = static_cast<int>(threadIdx.x) / kTileColumnThreads;
  const int tx = static_cast<int>(threadIdx.x) % kTileColumnThreads;
  const HeadDropout dropout(call, block);
  const int rows_real = block.length - block.first;
  LoadTile<kTile, kWidth>(arrays.key + head + block.first * stride, stride, rows_real, head_size,
                          keys);
  LoadTile<kTile, kWidth>(arrays.value + head + block.first * stride, stride, rows_real, head_size,
                          values);
  float key_sums[kRows][kWidth / kTileColumnThreads] = {};
  float value_sums[kRows][kWidth / kTileColumnThreads] = {};
  for (int first = 0; first < block.length; first += kTile) {
    const int left = block.length - first;
    LoadTile<kTile, kWidth>(arrays.query + head + first * stride, stride, left, head_size, queries);
    LoadTile<kTile, kWidth>(arrays.context_gradient + head + first * stride, stride, left,
                            head_size, outputs);
    __syncthreads();
    float p[kRows][kColumns];
    float ds[kRows][kColumns];
    MultiplyRows<kWidth>(queries, keys, ty, tx, p);
    MultiplyRows<kWidth>(outputs, values, ty, tx, ds);
    Derive(call, block, dropout, scale, arrays, first + ty, block.first + tx * kColumns, p, ds);
    StoreTile<kTile>(p, ty, tx, weights);
    __syncthreads();
    AddProduct<true, kTile, kWidth>(weights, outputs, ty, tx, value_sums);
    __syncthreads();
    StoreTile<kTile>(ds, ty, tx, weights);
    __syncthreads();
    AddProduct<true, kTile, kWidth>(weights, queries, ty, tx, key_sums);
    __syncthreads();
  }
  WriteRows(key_sums, scale, ty, tx, rows, rows_real, head_size, to_stride, dk);
  WriteRows(value_sums, 1.0f, ty, tx, rows, rows_real, head_size, to_stride, dv);
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionQueriesKernel(AttentionCall call, float scale, Arrays<T> arrays) {
  constexpr int kTile = kTileOf<kWidth>;
  constexpr int kRows = kTile / kTileRowThreads;
  constexpr int kColumns = kTile / kTileColumnThreads;
  DROVER_SHARED_ARRAY(float, queries, kTile*(kWidth + 1));
  DROVER_SHARED_ARRAY(float, outputs, kTile*(kWidth + 1));  // Gradients of c.
  DROVER_SHARED_ARRAY(float, keys, kTile*(kWidth + 1));
  DROVER_SHARED_ARRAY(float, values, kTile*(kWidth + 1));
  DROVER_SHARED_ARRAY(float, weights, kTile*(kTile + 1));
  const AttentionBlock block = BlockOf(call, kTile);
  const int64_t stride = call.heads * call.head_size;
  const auto head_size = static_cast<int>(call.head_size);
  const int64_t head = HeadOffset(call, block);
  const int rows = min(kTile, static_cast<int>(call.tokens) - block.first);
  const int64_t to_stride = kGradientParts * stride;
  T* const dq =
      arrays.gradients + HeadOffset(call, block, kGradientParts, 0) + block.first * to_stride;
  if (block.first >= block.length) return ZeroRows(rows, head_size, to_stride, dq);

  const int ty = static_cast<int>(threadIdx.x) / kTileColumnThreads;
  const int tx = static_cast<int>(threadIdx.x) % kTileColumnThreads;
  const HeadDropout dropout(call, block);
  const int rows_real = block.length - block.first;
  LoadTile<kTile, kWidth>(arrays.query + head + block.first * stride, stride, rows_real, head_size,
                          queries);
  LoadTile<kTile, kWidth>(arrays.context_gradient + head + block.first * stride, stride, rows_real,
                          head_size, outputs);
  float sums[kRows][kWidth / kTileColumnThreads] = {};
  for (int first = 0; first < block.length; first += kTile) {
    const int left = block.length - first;
    LoadTile<kTile, kWidth>(arrays.key + head + first * stride, stride, left, head_size, keys);
    LoadTile<kTile, kWidth>(arrays.value + head + first * stride, stride, left, head_size, values);
    __syncthreads();
    float p[kRows][kColumns];
    float ds[kRows][kColumns];
    MultiplyRows<kWidth>(queries, keys, ty, tx, p);
    MultiplyRows<kWidth>(outputs, values, ty, tx, ds);
    Derive(call, block, dropout, scale, arrays, block.first + ty, first + tx * kColumns, p, ds);
    StoreTile<kTile>(ds, ty, tx, weights);
    __syncthreads();
    AddProduct<false, kTile, kWidth>(weights, keys, ty, tx, sums);
    __syncthreads();
  }
  WriteRows(sums, scale, ty, tx, rows, rows_real, head_size, to_stride, dq);
}

}  // namespace

Status AttentionBackwardGpu(const AttentionCall& call, const AttentionState& state, float* dots,
                            GpuValues gradients, const GpuStream& stream) {
  if (AttentionUsesTensorCores(gradients.type, call.head_size)) {
    return AttentionBackwardTensorGpu(call, state, dots, gradients, stream);
  }
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const int64_t rows = call.samples * call.tokens * call.heads;
  constexpr int64_t kBlockRows = kAttentionThreads / 32;
  ForType(gradients, [&](auto* to) {
    using T = std::remove_cvref_t<decltype(*to)>;
    const auto array = [](const ConstGpuValues& values) {
      return static_cast<const T*>(values.data);
    };
    const Arrays<T> arrays = {array(state.query),
                              array(state.key),
                              array(state.value),
                              array(state.context_gradient),
                              state.log_sums,
                              dots,
                              to};
    DROVER_LAUNCH(AttentionDotsKernel<T>,
                  static_cast<uint32_t>((rows + kBlockRows - 1) / kBlockRows), kAttentionThreads, 0,
                  handle, call, array(state.context), arrays.context_gradient, dots);
    ForHeadWidth(call.head_size, [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      const uint32_t blocks = AttentionBlocks(call, kTileOf<kWidth>);
      DROVER_LAUNCH((AttentionKeysKernel<T, kWidth>), blocks, kAttentionThreads, 0, handle, call,
                    ScoreScale(call), arrays);
      DROVER_LAUNCH((AttentionQueriesKernel<T, kWidth>), blocks, kAttentionThreads, 0, handle, call,
                    ScoreScale(call), arrays);
    });
  });
  return LaunchStatus("AttentionBackward");
}

}  // namespace drover
