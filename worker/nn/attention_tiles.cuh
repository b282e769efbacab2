// What the attention kernels of both passes share: which part of the work a block has,
// probabilities that dropout strikes out, and small products of tiles in shared memory with float32
// FMA. 128 threads: thread (ty, tx) of 16 x 8 has the rows ty and, in tiles of 32, ty + 16.

#ifndef DROVER_WORKER_NN_ATTENTION_TILES_CUH_
#define DROVER_WORKER_NN_ATTENTION_TILES_CUH_

#include "common/gpu/kernel.h"
#include "worker/nn/attention_gpu.h"
#include "worker/nn/gpu_access.cuh"

namespace drover {

inline constexpr int kAttentionThreads = 128;
inline constexpr int kTileRowThreads = 16;
inline constexpr int kTileColumnThreads = 8;

// Tokens `first` on, of one head of one sample. Blocks of one head are neighbours, so that they
// find its keys and values in the cache.
struct AttentionBlock {
  int sample;
  int head;
  int first;
  int length;  // Tokens of the sample that are not padding.
};

__device__ __forceinline__ AttentionBlock BlockOf(const AttentionCall& call, int tile) {
  const auto tokens = static_cast<unsigned int>(call.tokens);
  const auto heads = static_cast<unsigned int>(call.heads);
  const unsigned int tiles =
      (tokens + static_cast<unsigned int>(tile) - 1) / static_cast<unsigned int>(tile);
  const unsigned int head = blockIdx.x / tiles;
  AttentionBlock block;
  block.sample = static_cast<int>(head / heads);
  block.head = static_cast<int>(head % heads);
  block.first = static_cast<int>(blockIdx.x % tiles) * tile;
  block.length = static_cast<int>(tokens);
  if (call.lengths != nullptr) {
    block.length = max(1, min(call.lengths[block.sample], static_cast<int>(tokens)));
  }
  return block;
}

inline uint32_t AttentionBlocks(const AttentionCall& call, int tile) {
  return static_cast<uint32_t>((call.tokens + tile - 1) / tile * call.heads * call.samples);
}

// Where the values of a head begin in [B, S, parts * H], part `part`.
__device__ __forceinline__ int64_t HeadOffset(const AttentionCall& call,
                                              const AttentionBlock& block, int parts = 1,
                                              int part = 0) {
  return ((block.sample * call.tokens * parts + part) * call.heads + block.head) * call.head_size;
}

// Where its rows begin in [B, A, S].
__device__ __forceinline__ int64_t HeadRows(const AttentionCall& call,
                                            const AttentionBlock& block) {
  return (block.sample * call.heads + block.head) * call.tokens;
}

// 1 / sqrt(D).
inline float ScoreScale(const AttentionCall& call) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(call.head_size)));
}

// Numbers that the probabilities of a head have in their sample: `first` for row 0, column 0, then
// on through dense rows of `length`; see Attention::Drop.
struct HeadDropout {
  __device__ __forceinline__ HeadDropout(const AttentionCall& call, const AttentionBlock& block)
      : draw(call.dropout),
        position(call.dropping ? call.positions[block.sample] : 0),
        first(static_cast<uint64_t>(block.head) *
              (static_cast<uint64_t>(call.tokens * call.tokens + 3) / 4 * 4)),
        length(static_cast<uint64_t>(block.length)) {}

  // Bit j is set if (row, column + j) is struck out; kCount <= 4.
  template <int kCount>
  __device__ __forceinline__ uint32_t StruckOut(int row, int column) const {
    const uint64_t number =
        first + static_cast<uint64_t>(row) * length + static_cast<uint64_t>(column);
    const auto skipped = static_cast<uint32_t>(number % 4);
    uint32_t bits = draw.StruckOut(position, number / 4);
    if (skipped + kCount > 4) bits |= draw.StruckOut(position, number / 4 + 1) << 4;
    return bits >> skipped;
  }

  const DropoutDraw draw;
  const uint64_t position;
  const uint64_t first;
  const uint64_t length;
};

// Rows of `stride` values into a tile of kRows x kWidth with one value of padding per row, which
// keeps a column's values in different banks. What is behind `rows` or `columns` becomes 0.
template <int kRows, int kWidth, typename T, typename Array>
__device__ __forceinline__ void LoadTile(const T* from, int64_t stride, int rows, int columns,
                                         Array& to) {
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kWidth; i += kAttentionThreads) {
    const int row = i / kWidth;
    const int column = i % kWidth;
    const bool is_there = row < rows && column < columns;
    to[row * (kWidth + 1) + column] = is_there ? ValueAt(from, row * stride + column) : 0.0f;
  }
}

// sums[i][j] = row ty + 16 i of `left` times row tx kColumns + j of `right`, both of kWidth values.
template <int kWidth, int kRows, int kColumns, typename Left, typename Right>
__device__ __forceinline__ void MultiplyRows(Left& left, Right& right, int ty, int tx,
                                             float (&sums)[kRows][kColumns]) {
  DROVER_UNROLL
  for (int i = 0; i < kRows; ++i) {
    DROVER_UNROLL
    for (int j = 0; j < kColumns; ++j) sums[i][j] = 0.0f;
  }
  for (int d = 0; d < kWidth; ++d) {
    float l[kRows];
    float r[kColumns];
    DROVER_UNROLL
    for (int i = 0; i < kRows; ++i) l[i] = left[(ty + kTileRowThreads * i) * (kWidth + 1) + d];
    DROVER_UNROLL
    for (int j = 0; j < kColumns; ++j) r[j] = right[(tx * kColumns + j) * (kWidth + 1) + d];
    DROVER_UNROLL
    for (int i = 0; i < kRows; ++i) {
      DROVER_UNROLL
      for (int j = 0; j < kColumns; ++j) sums[i][j] = fmaf(l[i], r[j], sums[i][j]);
    }
  }
}

// sums[i][j] += row ty + 16 i of `left`, or of its transpose, times column tx + 8 j of `right`.
// left: kTile x kTile; right: kTile rows of kWidth; both with one value of padding per row.
template <bool kTransposed, int kTile, int kWidth, int kRows, typename Left, typename Right>
__device__ __forceinline__ void AddProduct(Left& left, Right& right, int ty, int tx,
                                           float (&sums)[kRows][kWidth / kTileColumnThreads]) {
  for (int k = 0; k < kTile; ++k) {
    float l[kRows];
    DROVER_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const int row = ty + kTileRowThreads * i;
      l[i] = left[kTransposed ? k * (kTile + 1) + row : row * (kTile + 1) + k];
    }
    DROVER_UNROLL
    for (int j = 0; j < kWidth / kTileColumnThreads; ++j) {
      const float r = right[k * (kWidth + 1) + tx + kTileColumnThreads * j];
      DROVER_UNROLL
      for (int i = 0; i < kRows; ++i) sums[i][j] = fmaf(l[i], r, sums[i][j]);
    }
  }
}

// Writes `scale` times the sums of AddProduct as rows from `to` on, 0 from `rows_real` on; nothing
// from `rows` or `columns` on.
template <int kRows, int kColumns, typename T>
__device__ __forceinline__ void WriteRows(const float (&sums)[kRows][kColumns], float scale, int ty,
                                          int tx, int rows, int rows_real, int columns,
                                          int64_t stride, T* to) {
  DROVER_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const int row = ty + kTileRowThreads * i;
    DROVER_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      const int column = tx + kTileColumnThreads * j;
      if (row >= rows || column >= columns) continue;
      SetValue(to, row * stride + column, row < rows_real ? scale * sums[i][j] : 0.0f);
    }
  }
}

// Zeros into `rows` rows: a block behind the length has nothing else to do.
template <typename T>
__device__ __forceinline__ void ZeroRows(int rows, int columns, int64_t stride, T* to) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * columns; i += kAttentionThreads) {
    SetValue(to, i / columns * stride + i % columns, 0.0f);
  }
}

// Calls body(integral constant of the width that a head of this size is padded to).
template <typename Body>
auto ForHeadWidth(int64_t head_size, const Body& body) {
  if (head_size <= 32) return body(std::integral_constant<int, 32>());
  if (head_size <= 64) return body(std::integral_constant<int, 64>());
  return body(std::integral_constant<int, 128>());
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_ATTENTION_TILES_CUH_
