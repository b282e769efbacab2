// Forward pass of attention_gpu.h on tensor cores: bfloat16, heads of 32, 64 or 128 values. A block
// has 64 queries of one head, which stay in registers, and goes over that head's keys and values in
// tiles of 64 rows (32 for heads of 128 values). Probabilities are rounded to bfloat16 for the
// second product, the sum of the exponentials is of what they were before.
//
// Device memory: q, k, v read and c written once, 8 bytes per value of q, as far as a head's keys
// and values (4 S D bytes) stay in the cache, and 4 bytes per row of a head. 4 S D operations per
// row. What bounds the speed beside them is one exponential per score and, with dropout, a
// quarter of a Philox (about 20 integer instructions).

#include <cmath>
#include <type_traits>

#include "common/base/exact_math.h"
#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/attention_fragments.cuh"
#include "worker/nn/attention_gpu.h"

namespace drover {
namespace {

// Of this lane's two rows. Scores are q . k here; `scale` times them are exponents of 2.
struct RowStates {
  float largest[2] = {-INFINITY, -INFINITY};
  float sums[2] = {};  // Only of this lane's columns.
};

__device__ __forceinline__ float LargestOfQuad(float x) {
  x = max(x, __shfl_xor_sync(kWholeWarp, x, 1));
  return max(x, __shfl_xor_sync(kWholeWarp, x, 2));
}

__device__ __forceinline__ float SumOfQuad(float x) {
  x += __shfl_xor_sync(kWholeWarp, x, 1);
  return x + __shfl_xor_sync(kWholeWarp, x, 2);
}

// Scores become exponentials relative to the row's largest score so far; `corrections` are what
// sums of earlier tiles are to be multiplied with.
template <int kPairs>
__device__ __forceinline__ void Exponentials(float scale, int columns,
                                             float (&scores)[kPairs][2][4], RowStates* states,
                                             float (&corrections)[2]) {
  const int t = LaneIndex() % 4;
  float largest[2] = {-INFINITY, -INFINITY};
  const bool is_whole = columns >= 16 * kPairs;
  DROVER_UNROLL
  for (int pair = 0; pair < kPairs; ++pair) {
    DROVER_UNROLL
    for (int i = 0; i < 8; ++i) {
      float& score = scores[pair][i / 4][i % 4];
      if (!is_whole && 16 * pair + i / 4 * 8 + 2 * t + i % 2 >= columns) score = -INFINITY;
      largest[i % 4 / 2] = max(largest[i % 4 / 2], score);
    }
  }
  float shifts[2];
  DROVER_UNROLL
  for (int half = 0; half < 2; ++half) {
    // Column 0 is always real: from the first tile on, this is finite.
    const float now = max(states->largest[half], LargestOfQuad(largest[half]));
    corrections[half] = PowerOfTwo((states->largest[half] - now) * scale);
    states->largest[half] = now;
    states->sums[half] *= corrections[half];
    shifts[half] = -now * scale;
  }
  DROVER_UNROLL
  for (int pair = 0; pair < kPairs; ++pair) {
    DROVER_UNROLL
    for (int i = 0; i < 8; ++i) {
      float& score = scores[pair][i / 4][i % 4];
      score = PowerOfTwo(fmaf(score, scale, shifts[i % 4 / 2]));
      states->sums[i % 4 / 2] += score;
    }
  }
}

// What dropout strikes out becomes 0.
template <int kPairs>
__device__ __forceinline__ void StrikeOut(const HeadDropout& dropout, int row, int column,
                                          int columns, float (&weights)[kPairs][2][4]) {
  const int t = LaneIndex() % 4;
  uint64_t masks[2];
  DrawForQueries(dropout, row, column, min(16 * kPairs, columns), masks);
  DROVER_UNROLL
  for (int half = 0; half < 2; ++half) {
    const uint64_t mask = masks[half] >> (2 * t);
    DROVER_UNROLL
    for (int pair = 0; pair < kPairs; ++pair) {
      DROVER_UNROLL
      for (int i = 0; i < 4; ++i) {
        const bool is_struck = (mask >> (16 * pair + i / 2 * 8 + i % 2) & 1u) != 0;
        if (is_struck) weights[pair][i / 2][2 * half + i % 2] = 0.0f;
      }
    }
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kAttentionThreads)
    AttentionTensorForwardKernel(AttentionCall call, float score_scale, const uint16_t* query,
                                 const uint16_t* key, const uint16_t* value, uint16_t* context,
                                 float* log_sums) {
  using Tile = StreamTile<kWidth>;
  constexpr int kPairs = Tile::kRows / 16;
  // Two tiles each of keys and values, in turns.
  DROVER_SHARED_ARRAY(uint4, tiles, 4 * Tile::kElements);
  const AttentionBlock block = BlockOf(call, kOwnRows);
  const int64_t stride = call.heads * kWidth;
  const int64_t head = HeadOffset(call, block);
  const int row = block.first + static_cast<int>(threadIdx.x) / 32 * kOwnWarpRows;
  const int end = block.first < block.length ? block.length : 0;
  const HeadDropout dropout(call, block);
  const auto begin_tiles = [&](int first) {
    const int at = first / Tile::kRows % 2 * 2 * Tile::kElements;
    BeginTile<kWidth>(key + head + first * stride, stride, end - first, at, tiles);
    BeginTile<kWidth>(value + head + first * stride, stride, end - first, at + Tile::kElements,
                      tiles);
  };

  uint32_t queries[kWidth / 16][4];
  float sums[kWidth / 8][4] = {};
  RowStates states;
  if (end > 0) begin_tiles(0);
  LoadOwnRows<kWidth>(query + head + row * stride, stride, end - row, queries);
  for (int first = 0; first < end; first += Tile::kRows) {
    WaitForCopies();
    __syncthreads();  // Also: nobody reads the tiles before these any more.
    if (first + Tile::kRows < end) begin_tiles(first + Tile::kRows);
    const int at = first / Tile::kRows % 2 * 2 * Tile::kElements;
    float weights[kPairs][2][4] = {};
    DROVER_UNROLL
    for (int pair = 0; pair < kPairs; ++pair) {
      if (first + 16 * pair >= end) continue;
      MultiplyRows16<kWidth>(queries, tiles, at, 16 * pair, weights[pair]);
    }
    float corrections[2];
    Exponentials<kPairs>(score_scale * kLog2OfE, end - first, weights, &states, corrections);
    DROVER_UNROLL
    for (int n = 0; n < kWidth / 8; ++n) {
      DROVER_UNROLL
      for (int i = 0; i < 4; ++i) sums[n][i] *= corrections[i / 2];
    }
    if (call.dropping) StrikeOut<kPairs>(dropout, row, first, end - first, weights);
    DROVER_UNROLL
    for (int pair = 0; pair < kPairs; ++pair) {
      if (first + 16 * pair >= end) continue;
      AddWeightedRows16<kWidth>(weights[pair], tiles, at + Tile::kElements, 16 * pair, sums);
    }
  }

  float factors[2];
  DROVER_UNROLL
  for (int half = 0; half < 2; ++half) {
    const float total = SumOfQuad(states.sums[half]);
    factors[half] = (call.dropping ? call.dropout.scale : 1.0f) / total;
    const int own_row = row + LaneIndex() / 4 + 8 * half;
    if (LaneIndex() % 4 == 0 && own_row < end) {
      log_sums[HeadRows(call, block) + own_row] = static_cast<float>(
          static_cast<double>(states.largest[half] * score_scale) + ExactLog(total));
    }
  }
  WriteOwnRows<kWidth>(sums, factors, static_cast<int>(call.tokens) - row, end - row, stride,
                       context + head + row * stride);
}

}  // namespace

Status AttentionForwardTensorGpu(const AttentionCall& call, ConstGpuValues query,
                                 ConstGpuValues key, ConstGpuValues value, GpuValues context,
                                 float* log_sums, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto array = [](const ConstGpuValues& values) {
    return static_cast<const uint16_t*>(values.data);
  };
  ForHeadWidth(call.head_size, [&](auto width) {
    DROVER_LAUNCH(AttentionTensorForwardKernel<decltype(width)::value>,
                  AttentionBlocks(call, kOwnRows), kAttentionThreads, 0,
                  static_cast<cudaStream_t>(stream.handle()), call, ScoreScale(call), array(query),
                  array(key), array(value), static_cast<uint16_t*>(context.data), log_sums);
  });
  return LaunchStatus("AttentionTensorForward");
}

}  // namespace drover
