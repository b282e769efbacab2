// What the attention kernels on tensor cores share. A block of 4 warps owns 64 rows of a head, each
// warp 16 of them, as fragments in registers (warp_product.cuh). Tiles of the head's other rows
// stream through shared memory, two deep: while one is computed with, the next is on its way.
//
// In a warp's products with 16 rows of a tile, lane (g, t) has the rows g and g + 8 of its warp
// and, in sums[n][i], row g + 8 (i / 2) and column 8 n + 2 t + i % 2.

#ifndef DROVER_WORKER_NN_ATTENTION_FRAGMENTS_CUH_
#define DROVER_WORKER_NN_ATTENTION_FRAGMENTS_CUH_

#include <math.h>

#include "common/gpu/kernel.h"
#include "worker/nn/async_copy.cuh"
#include "worker/nn/attention_tiles.cuh"
#include "worker/nn/warp_product.cuh"

namespace drover {

inline constexpr int kOwnRows = 64;      // Of a block.
inline constexpr int kOwnWarpRows = 16;  // Of a warp.
inline constexpr float kLog2OfE = 1.44269504088896341f;

// 2^x, about 2 ulp off; 0 for -infinity. As the special function unit has it: what it is used for
// is rounded to bfloat16.
__device__ __forceinline__ float PowerOfTwo(float x) {
#ifdef __CUDACC__
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
#else
  return exp2f(x);
#endif
}

// Rows of kWidth bfloat16 in a shared array of uint4, 8 values each.
template <int kWidth>
struct StreamTile {
  static constexpr int kRows = kWidth == 128 ? 32 : 64;
  static constexpr int kChunks = kWidth / 8;
  static constexpr int kElements = kRows * kChunks;

  // Eight neighbouring rows have the same chunk in eight different groups of banks. Chunk c ^ d is
  // at the place of chunk c, ^ d.
  __device__ __forceinline__ static int At(int row, int chunk) {
    return (row * kChunks + (kChunks == 4 ? row / 2 % 4 : row % 8)) ^ chunk;
  }
};

// Begins to copy a tile of kRows rows to `first` on; rows from `rows` on become 0.
template <int kWidth, int kRows = StreamTile<kWidth>::kRows, typename Array>
__device__ __forceinline__ void BeginTile(const uint16_t* from, int64_t stride, int rows, int first,
                                          Array& to) {
  using Tile = StreamTile<kWidth>;
  DROVER_UNROLL
  for (int i = 0; i < kRows * Tile::kChunks; i += kAttentionThreads) {
    const int element = i + static_cast<int>(threadIdx.x);
    const int row = element / Tile::kChunks;
    const int chunk = element % Tile::kChunks;
    const bool is_there = row < rows;
    BeginCopy(to, first + Tile::At(row, chunk), is_there ? from + row * stride + chunk * 8 : from,
              is_there);
  }
}

// The warp's own rows from `from` on, as left factors; rows from `rows` on become 0.
template <int kWidth>
__device__ __forceinline__ void LoadOwnRows(const uint16_t* from, int64_t stride, int rows,
                                            uint32_t (&to)[kWidth / 16][4]) {
  const int g = LaneIndex() / 4;
  const int t = LaneIndex() % 4;
  DROVER_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int row = g + i % 2 * 8;
    const uint16_t* const values = from + row * stride + 2 * t + i / 2 * 8;
    DROVER_UNROLL
    for (int k = 0; k < kWidth / 16; ++k) {
      to[k][i] = row < rows ? *reinterpret_cast<const uint32_t*>(values + 16 * k) : 0u;
    }
  }
}

// The same from a tile of kOwnRows rows in shared memory, values 16 k to 16 k + 15 of each row.
template <int kWidth, typename Array>
__device__ __forceinline__ void LoadOwnColumns(Array& tile, int row, int k, uint32_t (&to)[4]) {
  LoadMatrices<false>(
      tile, [=](int i) { return StreamTile<kWidth>::At(row + i % 16, i / 16) ^ (2 * k); }, to);
}

// sums = own rows times the 16 rows from `row` on of the tile at `first`. own(k, a) gives values
// 16 k to 16 k + 15 of the own rows as a left factor.
template <int kWidth, typename Own, typename Array>
__device__ __forceinline__ void MultiplyRows16(const Own& own, Array& tiles, int first, int row,
                                               float (&sums)[2][4]) {
  DROVER_UNROLL
  for (int i = 0; i < 4; ++i) sums[0][i] = sums[1][i] = 0.0f;
  DROVER_UNROLL
  for (int k = 0; k < kWidth / 16; ++k) {
    uint32_t a[4];
    own(k, a);
    uint32_t b[4];
    LoadMatrices<false>(
        tiles,
        [=](int i) {
          const int at = StreamTile<kWidth>::At(row + i / 16 * 8 + i % 8, i / 8 % 2);
          return (first + at) ^ (2 * k);
        },
        b);
    AddWarpProduct(a, b[0], b[1], sums[0]);
    AddWarpProduct(a, b[2], b[3], sums[1]);
  }
}
template <int kWidth, typename Array>
__device__ __forceinline__ void MultiplyRows16(const uint32_t (&own)[kWidth / 16][4], Array& tiles,
                                               int first, int row, float (&sums)[2][4]) {
  const auto from_registers = [&own](int k, uint32_t(&a)[4]) {
    DROVER_UNROLL
    for (int i = 0; i < 4; ++i) a[i] = own[k][i];
  };
  MultiplyRows16<kWidth>(from_registers, tiles, first, row, sums);
}

// sums += weights [16, 16], of MultiplyRows16's layout and rounded here, times those 16 rows.
template <int kWidth, typename Array>
__device__ __forceinline__ void AddWeightedRows16(const float (&weights)[2][4], Array& tiles,
                                                  int first, int row,
                                                  float (&sums)[kWidth / 8][4]) {
  const uint32_t a[4] = {
      PackBf16(weights[0][0], weights[0][1]), PackBf16(weights[0][2], weights[0][3]),
      PackBf16(weights[1][0], weights[1][1]), PackBf16(weights[1][2], weights[1][3])};
  DROVER_UNROLL
  for (int n = 0; n < kWidth / 8; n += 2) {
    uint32_t b[4];
    LoadMatrices<true>(
        tiles, [=](int i) { return (first + StreamTile<kWidth>::At(row + i % 16, i / 16)) ^ n; },
        b);
    AddWarpProduct(a, b[0], b[1], sums[n]);
    AddWarpProduct(a, b[2], b[3], sums[n + 1]);
  }
}

// Writes the warp's rows, times a factor for each of this lane's two; 0 from `rows_real` on,
// nothing from `rows` on.
template <int kWidth>
__device__ __forceinline__ void WriteOwnRows(const float (&sums)[kWidth / 8][4],
                                             const float (&factors)[2], int rows, int rows_real,
                                             int64_t stride, uint16_t* to) {
  const int t = LaneIndex() % 4;
  DROVER_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = LaneIndex() / 4 + half * 8;
    if (row >= rows) continue;
    const bool is_real = row < rows_real;
    DROVER_UNROLL
    for (int n = 0; n < kWidth / 8; ++n) {
      const uint32_t pair =
          PackBf16(factors[half] * sums[n][2 * half], factors[half] * sums[n][2 * half + 1]);
      *reinterpret_cast<uint32_t*>(to + row * stride + 8 * n + 2 * t) = is_real ? pair : 0u;
    }
  }
}

// Which probabilities of the warp's 16 queries from `row` on and of `columns` keys, at most 64,
// from `column` on are struck out: masks[i] has bit c set for row g + 8 i, key column + c. Two of
// the four lanes of a row draw for it and two for the other one of theirs: 9 times for 64 keys, 8
// where rows begin at a multiple of 4.
__device__ __forceinline__ void DrawForQueries(const HeadDropout& dropout, int row, int column,
                                               int columns, uint64_t (&masks)[2]) {
  const int lane = LaneIndex();
  const uint64_t number =
      dropout.first + static_cast<uint64_t>(row + lane / 4 + lane % 4 / 2 * 8) * dropout.length +
      static_cast<uint64_t>(column);
  const auto skipped = static_cast<int>(number % 4);
  uint64_t mask = 0;
  for (int group = lane % 2; 4 * group - skipped < columns; group += 2) {
    const uint64_t bits =
        dropout.draw.StruckOut(dropout.position, number / 4 + static_cast<uint64_t>(group));
    mask |= group == 0 ? bits >> skipped : bits << (4 * group - skipped);
  }
  mask |= __shfl_xor_sync(kWholeWarp, mask, 1);
  masks[0] = __shfl_sync(kWholeWarp, mask, lane / 4 * 4);
  masks[1] = __shfl_sync(kWholeWarp, mask, lane / 4 * 4 + 2);
}

// The same for the warp's 16 keys from `column` on and the queries row + lane and row + lane + 32
// of `rows`: bit c is set for key column + c of the first one, bit 16 + c for the second one.
__device__ __forceinline__ uint32_t DrawForKeys(const HeadDropout& dropout, int row, int rows,
                                                int column) {
  uint32_t masks = 0;
  for (int i = 0; i < rows; i += 32) {
    const uint64_t number = dropout.first +
                            static_cast<uint64_t>(row + LaneIndex() + i) * dropout.length +
                            static_cast<uint64_t>(column);
    const auto skipped = static_cast<uint32_t>(number % 4);
    uint32_t bits = 0;
    for (uint32_t group = 0; group < (skipped > 0 ? 5u : 4u); ++group) {
      bits |= dropout.draw.StruckOut(dropout.position, number / 4 + group) << (4 * group);
    }
    masks |= (bits >> skipped & 0xffffu) << (i / 2);
  }
  __syncwarp();  // Some lanes drew once more than others; tensor cores want them together.
  return masks;
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_ATTENTION_FRAGMENTS_CUH_
