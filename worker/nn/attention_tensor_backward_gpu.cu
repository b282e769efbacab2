// Backward pass of attention_gpu.h on tensor cores: bfloat16, heads of 32, 64 or 128 values. One
// kernel in two forms, with a block per 64 rows that it owns and the others streaming past:
//   own        streamed    products of both              sums
//   q, dc      k, v        q k^T, dc v^T                 dq += ds k
//   k, v       q, dc       k q^T, v dc^T (transposed)    dk += ds^T q, dv += kept^T dc
// Transposed scores have the layout that dk's and dv's left factors need. Probabilities and ds are
// rounded to bfloat16 for the products. 16 streamed rows at a time, so that registers suffice.
//
// Device memory: dots read c and dc, each form q, k, v and dc once, as far as a head stays in the
// cache, and they write three gradients: 26 bytes per value of q, and 20 per row of a head. 6 S D
// and 8 S D operations per row of a head; each form computes an exponential per score and draws its
// masks again.

#include <cmath>
#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/attention_fragments.cuh"
#include "worker/nn/attention_gpu.h"

namespace drover {
namespace {

struct Arrays {
  const uint16_t* own[2];
  const uint16_t* streamed[2];
  const float* log_sums;
  const float* dots;
  uint16_t* gradients;
};

constexpr int kGradientParts = 3;  // dq, dk, dv.

// What a probability needs to know of its query, and p = 2^(score * scale - log2_sum).
__device__ __forceinline__ float2 QuerySums(const AttentionCall& call, const AttentionBlock& block,
                                            const Arrays& arrays, int query) {
  // Behind the length, p becomes 0.
  if (query >= block.length) return make_float2(INFINITY, 0.0f);
  const int64_t at = HeadRows(call, block) + query;
  return make_float2(arrays.log_sums[at] * kLog2OfE, arrays.dots[at]);
}

// Of one score, with g = dc . v: the probability after dropout, and ds.
struct Derived {
  float kept;
  float ds;
};
__device__ __forceinline__ Derived Derive(float score, float g, float scale, const float2& sums,
                                          float stays) {
  const float p = PowerOfTwo(fmaf(score, scale, -sums.x));
  return {p * stays, p * fmaf(stays, g, -sums.y)};
}

__device__ __forceinline__ float DotOfPair(uint32_t a, uint32_t b, float sum) {
  sum = fmaf(FromBf16(static_cast<uint16_t>(a)), FromBf16(static_cast<uint16_t>(b)), sum);
  return fmaf(FromBf16(static_cast<uint16_t>(a >> 16)), FromBf16(static_cast<uint16_t>(b >> 16)),
              sum);
}

// 8 values of a row of a head per thread.
template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionTensorDotsKernel(AttentionCall call, const uint16_t* context,
                              const uint16_t* context_gradient, float* dots) {
  constexpr int kLanes = kWidth / 8;
  const int64_t thread = int64_t{blockIdx.x} * kAttentionThreads + threadIdx.x;
  const int64_t index = thread / kLanes;  // In [B, S, A].
  const int64_t head = index % call.heads;
  const int64_t token = index / call.heads % call.tokens;
  const int64_t sample = index / call.heads / call.tokens;
  bool is_there = sample < call.samples;
  if (is_there && call.lengths != nullptr) is_there = token < max(1, call.lengths[sample]);
  float sum = 0.0f;
  if (is_there) {
    const uint4 a = reinterpret_cast<const uint4*>(context)[thread];
    const uint4 b = reinterpret_cast<const uint4*>(context_gradient)[thread];
    sum = DotOfPair(a.x, b.x, DotOfPair(a.y, b.y, DotOfPair(a.z, b.z, DotOfPair(a.w, b.w, 0.0f))));
  }
  DROVER_UNROLL
  for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) {
    sum += __shfl_xor_sync(kWholeWarp, sum, lanes);
  }
  if (is_there && thread % kLanes == 0) {
    dots[(sample * call.heads + head) * call.tokens + token] = sum;
  }
}

// Owns queries: a warp's rows are queries, columns are keys.
template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionTensorQueriesKernel(AttentionCall call, float score_scale, Arrays arrays) {
  using Tile = StreamTile<kWidth>;
  // Two tiles each of keys and values, in turns.
  DROVER_SHARED_ARRAY(uint4, tiles, 4 * Tile::kElements);
  const AttentionBlock block = BlockOf(call, kOwnRows);
  const int64_t stride = call.heads * kWidth;
  const int64_t head = HeadOffset(call, block);
  const int row = block.first + static_cast<int>(threadIdx.x) / 32 * kOwnWarpRows;
  const int end = block.first < block.length ? block.length : 0;
  const float kept_scale = call.dropping ? call.dropout.scale : 1.0f;
  const HeadDropout dropout(call, block);
  const auto begin_tiles = [&](int first) {
    const int at = first / Tile::kRows % 2 * 2 * Tile::kElements;
    DROVER_UNROLL
    for (int i = 0; i < 2; ++i) {
      BeginTile<kWidth>(arrays.streamed[i] + head + first * stride, stride, end - first,
                        at + i * Tile::kElements, tiles);
    }
  };

  uint32_t queries[kWidth / 16][4];
  uint32_t outputs[kWidth / 16][4];  // Gradients of c.
  float dq[kWidth / 8][4] = {};
  if (end > 0) begin_tiles(0);
  LoadOwnRows<kWidth>(arrays.own[0] + head + row * stride, stride, end - row, queries);
  LoadOwnRows<kWidth>(arrays.own[1] + head + row * stride, stride, end - row, outputs);
  const float2 sums[2] = {QuerySums(call, block, arrays, row + LaneIndex() / 4),
                          QuerySums(call, block, arrays, row + LaneIndex() / 4 + 8)};
  for (int first = 0; first < end; first += Tile::kRows) {
    WaitForCopies();
    __syncthreads();  // Also: nobody reads the tiles before these any more.
    if (first + Tile::kRows < end) begin_tiles(first + Tile::kRows);
    const int at = first / Tile::kRows % 2 * 2 * Tile::kElements;
    uint64_t masks[2] = {};
    const int columns = min(Tile::kRows, end - first);
    if (call.dropping) DrawForQueries(dropout, row, first, columns, masks);
    for (int column = 0; column < columns; column += 16) {
      float scores[2][4];
      float ds[2][4];
      MultiplyRows16<kWidth>(queries, tiles, at, column, scores);
      MultiplyRows16<kWidth>(outputs, tiles, at + Tile::kElements, column, ds);
      DROVER_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int own_column = column + i / 4 * 8 + 2 * (LaneIndex() % 4) + i % 2;
        const bool is_struck = (masks[i % 4 / 2] >> own_column & 1u) != 0;
        const Derived derived =
            Derive(scores[i / 4][i % 4], ds[i / 4][i % 4], score_scale * kLog2OfE, sums[i % 4 / 2],
                   is_struck ? 0.0f : kept_scale);
        ds[i / 4][i % 4] = own_column < columns ? derived.ds : 0.0f;
      }
      AddWeightedRows16<kWidth>(ds, tiles, at, column, dq);
    }
  }
  const float factors[2] = {score_scale, score_scale};
  WriteOwnRows<kWidth>(dq, factors, static_cast<int>(call.tokens) - row, end - row,
                       kGradientParts * stride,
                       arrays.gradients + HeadOffset(call, block, kGradientParts, 0) +
                           row * kGradientParts * stride);
}

// Owns keys: a warp's rows are keys, columns are queries. With heads of 128 values the own values
// stay in shared memory, because keys, dk and dv fill the registers.
template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionTensorKeysKernel(AttentionCall call, float score_scale, Arrays arrays) {
  using Tile = StreamTile<kWidth>;
  constexpr bool kSharesValues = kWidth == 128;
  constexpr int kQueries = Tile::kRows / 32;  // Of a tile, per lane.
  // Two tiles each of queries and gradients of c, in turns.
  DROVER_SHARED_ARRAY(uint4, tiles, 4 * Tile::kElements);
  DROVER_SHARED_ARRAY(uint4, own_values, kSharesValues ? kOwnRows * Tile::kChunks : 1);
  const AttentionBlock block = BlockOf(call, kOwnRows);
  const int64_t stride = call.heads * kWidth;
  const int64_t head = HeadOffset(call, block);
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * kOwnWarpRows;
  const int row = block.first + warp_row;
  const int end = block.first < block.length ? block.length : 0;
  const float kept_scale = call.dropping ? call.dropout.scale : 1.0f;
  const HeadDropout dropout(call, block);
  const auto begin_tiles = [&](int first) {
    const int at = first / Tile::kRows % 2 * 2 * Tile::kElements;
    DROVER_UNROLL
    for (int i = 0; i < 2; ++i) {
      BeginTile<kWidth>(arrays.streamed[i] + head + first * stride, stride, end - first,
                        at + i * Tile::kElements, tiles);
    }
  };

  uint32_t keys[kWidth / 16][4];
  uint32_t values[kSharesValues ? 1 : kWidth / 16][4];
  float dk[kWidth / 8][4] = {};
  float dv[kWidth / 8][4] = {};
  if (end > 0) begin_tiles(0);
  LoadOwnRows<kWidth>(arrays.own[0] + head + row * stride, stride, end - row, keys);
  if constexpr (kSharesValues) {
    BeginTile<kWidth, kOwnRows>(arrays.own[1] + head + block.first * stride, stride,
                                end - block.first, 0, own_values);
  } else {
    LoadOwnRows<kWidth>(arrays.own[1] + head + row * stride, stride, end - row, values);
  }
  const auto own_values_of = [&](int k, uint32_t(&a)[4]) {
    if constexpr (kSharesValues) {
      LoadOwnColumns<kWidth>(own_values, warp_row, k, a);
    } else {
      DROVER_UNROLL
      for (int i = 0; i < 4; ++i) a[i] = values[k][i];
    }
  };
  for (int first = 0; first < end; first += Tile::kRows) {
    float2 query_sums[kQueries];  // Lane l has those of queries l and l + 32 of the tile.
    DROVER_UNROLL
    for (int i = 0; i < kQueries; ++i) {
      query_sums[i] = QuerySums(call, block, arrays, first + LaneIndex() + 32 * i);
    }
    WaitForCopies();
    __syncthreads();  // Also: nobody reads the tiles before these any more.
    if (first + Tile::kRows < end) begin_tiles(first + Tile::kRows);
    const int at = first / Tile::kRows % 2 * 2 * Tile::kElements;
    const int columns = min(Tile::kRows, end - first);
    uint32_t masks = 0;
    if (call.dropping) masks = DrawForKeys(dropout, first, columns, row);
    for (int column = 0; column < columns; column += 16) {
      float kept[2][4];
      float ds[2][4];
      MultiplyRows16<kWidth>(keys, tiles, at, column, kept);
      MultiplyRows16<kWidth>(own_values_of, tiles, at + Tile::kElements, column, ds);
      const float2 sums_of_lane =
          kQueries == 1 || column < 32 ? query_sums[0] : query_sums[kQueries - 1];
      DROVER_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int query = column + i / 2 * 8 + 2 * (LaneIndex() % 4) + i % 2;
        const float2 sums = make_float2(__shfl_sync(kWholeWarp, sums_of_lane.x, query % 32),
                                        __shfl_sync(kWholeWarp, sums_of_lane.y, query % 32));
        const uint32_t mask =
            __shfl_sync(kWholeWarp, masks, query % 32) >> (query / 32 * 16 + LaneIndex() / 4);
        DROVER_UNROLL
        for (int half = 0; half < 2; ++half) {
          float& score = kept[i / 2][2 * half + i % 2];
          float& g = ds[i / 2][2 * half + i % 2];
          const bool is_struck = (mask >> (8 * half) & 1u) != 0;
          const Derived derived =
              Derive(score, g, score_scale * kLog2OfE, sums, is_struck ? 0.0f : kept_scale);
          score = derived.kept;
          g = derived.ds;
        }
      }
      AddWeightedRows16<kWidth>(kept, tiles, at + Tile::kElements, column, dv);
      AddWeightedRows16<kWidth>(ds, tiles, at, column, dk);
    }
  }
  const int rows = static_cast<int>(call.tokens) - row;
  uint16_t* const to = arrays.gradients + row * kGradientParts * stride;
  const float key_factors[2] = {score_scale, score_scale};
  WriteOwnRows<kWidth>(dk, key_factors, rows, end - row, kGradientParts * stride,
                       to + HeadOffset(call, block, kGradientParts, 1));
  const float value_factors[2] = {1.0f, 1.0f};
  WriteOwnRows<kWidth>(dv, value_factors, rows, end - row, kGradientParts * stride,
                       to + HeadOffset(call, block, kGradientParts, 2));
}

}  // namespace

Status AttentionBackwardTensorGpu(const AttentionCall& call, const AttentionState& state,
                                  float* dots, GpuValues gradients, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const auto array = [](const ConstGpuValues& values) {
    return static_cast<const uint16_t*>(values.data);
  };
  const uint16_t* const queries[2] = {array(state.query), array(state.context_gradient)};
  const uint16_t* const keys[2] = {array(state.key), array(state.value)};
  auto* const to = static_cast<uint16_t*>(gradients.data);
  const uint32_t blocks = AttentionBlocks(call, kOwnRows);
  ForHeadWidth(call.head_size, [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t dot_threads = call.samples * call.tokens * call.heads * (kWidth / 8);
    DROVER_LAUNCH(AttentionTensorDotsKernel<kWidth>,
                  static_cast<uint32_t>((dot_threads + kAttentionThreads - 1) / kAttentionThreads),
                  kAttentionThreads, 0, handle, call, array(state.context),
                  array(state.context_gradient), dots);
    const Arrays for_queries = {
        {queries[0], queries[1]}, {keys[0], keys[1]}, state.log_sums, dots, to};
    DROVER_LAUNCH(AttentionTensorQueriesKernel<kWidth>, blocks, kAttentionThreads, 0, handle, call,
                  ScoreScale(call), for_queries);
    const Arrays for_keys = {
        {keys[0], keys[1]}, {queries[0], queries[1]}, state.log_sums, dots, to};
    DROVER_LAUNCH(AttentionTensorKeysKernel<kWidth>, blocks, kAttentionThreads, 0, handle, call,
                  ScoreScale(call), for_keys);
  });
  return LaunchStatus("AttentionTensorBackward");
}

}  // namespace drover
