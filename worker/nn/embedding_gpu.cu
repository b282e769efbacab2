// Pairs with embedding_gpu.h. Forward reads a row of each table per token and writes one of the
// result. Backward reads dy once per table, and what stands behind the lengths never; the tokens
// are sorted first, so that each row of the words is added to by one block.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/column_sums_gpu.h"
#include "worker/nn/embedding_gpu.h"
#include "worker/nn/gpu_vectors.cuh"
#include "worker/nn/token_sort_gpu.h"

namespace drover {
namespace {

constexpr int kThreads = 128;
constexpr int kRun = 32;                     // Sorted tokens that one block adds up.
constexpr int64_t kSegmentRows = 64;         // Rows of a slice, for the sums over segments ...
constexpr int64_t kSegmentSlicesMax = 1024;  // ... whose number times that of segments is limited.

uint32_t BlocksFor(int64_t count, int64_t per_block) {
  return static_cast<uint32_t>((count + per_block - 1) / per_block);
}

// What kernels read of a batch. `samples` of them have gradients.
struct Tokens {
  int64_t samples;
  int64_t length;  // S.
  const int32_t* tokens;
  const int32_t* segments;  // Null: 0.
  const int32_t* lengths;   // Null: S.

  __device__ int64_t LengthOf(int64_t sample) const {
    return lengths == nullptr ? length : int64_t{lengths[sample]};
  }
  __device__ int64_t SegmentOf(int64_t row) const {
    return segments == nullptr ? 0 : int64_t{segments[row]};
  }
};

Tokens TokensOf(const EmbeddingShapeGpu& shape, const Batch& batch, int64_t samples) {
  return {samples, shape.length, batch.tokens, batch.segments, batch.lengths};
}

// Calls launch(typed, width) with `values.data` as its type, and how many values an access has, as
// an integral_constant.
template <typename Values, typename Launch>
void ForTypeAndWidth(const Values& values, int64_t size, const Launch& launch) {
  ForType(values, [&](auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    if (RowsAreAligned<T>(size)) {
      launch(typed, std::integral_constant<int, kVectorOf<T>>());
    } else {
      launch(typed, std::integral_constant<int, 1>());
    }
  });
}

template <int kWidth, typename T>
__device__ __forceinline__ void AddRow(const T* from, float (&to)[kWidth]) {
  float values[kWidth];
  ReadVector(from, values);
  DROVER_UNROLL
  for (int k = 0; k < kWidth; ++k) to[k] += values[k];
}

// A warp per row.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    ForwardKernel(Tokens batch, int64_t size, EmbeddingTables tables, T* y) {
  const int64_t row = int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  if (row >= batch.samples * batch.length) return;
  const int64_t sample = row / batch.length;
  const int64_t position = row % batch.length;
  const bool is_padding = position >= batch.LengthOf(sample);
  const float* const word = tables.words + (is_padding ? 0 : int64_t{batch.tokens[row]}) * size;
  const int64_t segment = is_padding || tables.segments == nullptr ? 0 : batch.SegmentOf(row);
  for (int64_t first = threadIdx.x % 32 * kWidth; first < size; first += 32 * kWidth) {
    float sum[kWidth] = {};
    if (!is_padding) {
      ReadVector(word + first, sum);
      if (tables.positions != nullptr) AddRow(tables.positions + position * size + first, sum);
      if (tables.segments != nullptr) AddRow(tables.segments + segment * size + first, sum);
    }
    WriteVector(y + row * size + first, sum);
  }
}

// keys: [micro_batch, S]; `none` for what has no gradient.
__global__ void __launch_bounds__(kThreads)
    KeysKernel(Tokens batch, int64_t rows, int32_t none, int32_t* keys) {
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= rows) return;
  const int64_t sample = row / batch.length;
  const bool counts = sample < batch.samples && row % batch.length < batch.LengthOf(sample);
  keys[row] = counts ? batch.tokens[row] : none;
}

struct SortedRows {
  int64_t rows;
  int64_t size;
  int32_t none;
  const int32_t* keys;
  const uint32_t* order;
};

// The sum goes to a row of dwords that no other thread writes in this kernel.
template <int kWidth>
__device__ __forceinline__ void AddToWord(float* dword, const float (&sum)[kWidth]) {
  float values[kWidth];
  ReadVector(dword, values);
  DROVER_UNROLL
  for (int k = 0; k < kWidth; ++k) values[k] += sum[k];
  WriteVector(dword, values);
}

// blockIdx.x: kRun sorted tokens, between which stand runs of equal ones. A run that is whole here
// goes to its word; the parts of others to parts, [blocks, 2, size]: 0 for one that began in an
// earlier block, 1 for one that begins here and goes on.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    AddRunsKernel(SortedRows sorted, const T* dy, float* parts, float* dwords) {
  DROVER_SHARED_ARRAY(int32_t, keys, kRun + 2);  // One before and one behind, none there: -1.
  DROVER_SHARED_ARRAY(uint32_t, rows, kRun);
  const int64_t begin = int64_t{blockIdx.x} * kRun;
  if (threadIdx.x < kRun + 2) {
    const int64_t at = begin + threadIdx.x - 1;
    const bool exists = at >= 0 && at < sorted.rows;
    const uint32_t row = exists ? sorted.order[at] : 0u;
    keys[threadIdx.x] = exists ? sorted.keys[row] : -1;
    if (threadIdx.x >= 1 && threadIdx.x <= kRun) rows[threadIdx.x - 1] = row;
  }
  __syncthreads();
  const int64_t first = (int64_t{blockIdx.y} * kThreads + threadIdx.x) * kWidth;
  if (first >= sorted.size) return;

  float sum[kWidth] = {};
  const int32_t before = keys[0];
  const int32_t own = keys[1];
  bool began_earlier = before == own;
  for (int i = 0; i < kRun; ++i) {
    const int32_t key = keys[i + 1];
    if (key < 0 || key == sorted.none) return;
    const uint32_t row = rows[i];
    AddRow(dy + int64_t{row} * sorted.size + first, sum);
    const int32_t next = keys[i + 2];
    if (next == key && i + 1 < kRun) continue;
    if (began_earlier || next == key) {
      const int64_t part = int64_t{blockIdx.x} * 2 + (began_earlier ? 0 : 1);
      WriteVector(parts + part * sorted.size + first, sum);
    } else {
      AddToWord(dwords + int64_t{key} * sorted.size + first, sum);
    }
    began_earlier = false;
    DROVER_UNROLL
    for (int k = 0; k < kWidth; ++k) sum[k] = 0.0f;
  }
}

// Adds the parts of the run that begins in block blockIdx.x of AddRunsKernel and goes on, if any.
template <int kWidth>
__global__ void __launch_bounds__(kThreads)
    JoinRunsKernel(SortedRows sorted, const float* parts, float* dwords) {
  const int64_t end = (int64_t{blockIdx.x} + 1) * kRun;
  const int64_t first = (int64_t{blockIdx.y} * kThreads + threadIdx.x) * kWidth;
  if (end >= sorted.rows || first >= sorted.size) return;
  const auto key_at = [&sorted](int64_t at) { return sorted.keys[sorted.order[at]]; };
  const int32_t key = key_at(end);
  const int64_t begin = end - kRun;
  if (key == sorted.none || key_at(end - 1) != key) return;
  if (begin > 0 && key_at(begin - 1) == key) return;  // It begins in an earlier block.
  float sum[kWidth] = {};
  AddRow(parts + (int64_t{blockIdx.x} * 2 + 1) * sorted.size + first, sum);
  for (int64_t at = end; at < sorted.rows && key_at(at) == key; at += kRun) {
    AddRow(parts + at / kRun * 2 * sorted.size + first, sum);
  }
  AddToWord(dwords + int64_t{key} * sorted.size + first, sum);
}

// A thread per vector of a position; the samples in order.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    PositionsKernel(Tokens batch, int64_t size, const T* dy, bool accumulate, float* dpositions) {
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kWidth;
  if (at >= batch.length * size) return;
  const int64_t position = at / size;
  float sum[kWidth] = {};
  for (int64_t sample = 0; sample < batch.samples; ++sample) {
    if (position < batch.LengthOf(sample)) AddRow(dy + sample * batch.length * size + at, sum);
  }
  if (accumulate) {
    AddToWord(dpositions + at, sum);
  } else {
    WriteVector(dpositions + at, sum);
  }
}

// blockIdx.x: a slice of rows; blockIdx.z: the segment. sums: [slices, segments, size].
template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    SegmentsKernel(Tokens batch, int64_t slice_rows, int64_t size, const T* dy, float* sums) {
  const int64_t first = (int64_t{blockIdx.y} * kThreads + threadIdx.x) * kWidth;
  if (first >= size) return;
  const int64_t begin = int64_t{blockIdx.x} * slice_rows;
  const int64_t all = batch.samples * batch.length;
  const int64_t end = begin + slice_rows < all ? begin + slice_rows : all;
  int64_t sample = begin / batch.length;
  int64_t position = begin % batch.length;
  float sum[kWidth] = {};
  for (int64_t row = begin; row < end; ++row) {
    if (position < batch.LengthOf(sample) && batch.SegmentOf(row) == int64_t{blockIdx.z}) {
      AddRow(dy + row * size + first, sum);
    }
    if (++position == batch.length) {
      position = 0;
      ++sample;
    }
  }
  WriteVector(sums + (int64_t{blockIdx.x} * gridDim.z + blockIdx.z) * size + first, sum);
}

int64_t SegmentSlices(const EmbeddingShapeGpu& shape) {
  if (shape.segments == 0) return 0;
  const int64_t slices = (shape.rows() + kSegmentRows - 1) / kSegmentRows;
  const int64_t limit = kSegmentSlicesMax / shape.segments;
  return slices < limit ? slices : limit > 1 ? limit : 1;
}

// Scratch for the words.
struct WordsScratch {
  explicit WordsScratch(const EmbeddingShapeGpu& shape) {
    const auto rows = static_cast<size_t>(shape.rows());
    parts = Take(size_t{2} * BlocksFor(shape.rows(), kRun) * static_cast<size_t>(shape.size) *
                 sizeof(float));
    keys = Take(rows * sizeof(int32_t));
    order = Take(rows * sizeof(uint32_t));
    sort = Take(TokenSortScratchBytes(shape.rows()));
  }
  size_t Take(size_t size) {
    const size_t offset = bytes;
    bytes += AlignedBytes(size);
    return offset;
  }

  size_t parts, keys, order, sort;
  size_t bytes = 0;
};

}  // namespace

size_t EmbeddingWordsScratchBytes(const EmbeddingShapeGpu& shape) {
  return WordsScratch(shape).bytes;
}

size_t EmbeddingSegmentsScratchBytes(const EmbeddingShapeGpu& shape) {
  return static_cast<size_t>(SegmentSlices(shape) * shape.segments * shape.size) * sizeof(float);
}

Status EmbeddingForwardGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                           const Batch& batch, const EmbeddingTables& tables, GpuValues y) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const Tokens tokens = TokensOf(shape, batch, shape.micro_batch);
  ForTypeAndWidth(y, shape.size, [&](auto* typed, auto width) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    constexpr int kWidth = decltype(width)::value;
    DROVER_LAUNCH((ForwardKernel<T, kWidth>), BlocksFor(shape.rows(), kThreads / 32), kThreads, 0,
                  static_cast<cudaStream_t>(stream.handle()), tokens, shape.size, tables, typed);
  });
  return LaunchStatus("EmbeddingForward");
}

Status EmbeddingBackwardWordsGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                                 const Batch& batch, ConstGpuValues dy, const GradientSum& dwords,
                                 std::byte* scratch) {
  if (!dwords.accumulate) {
    DROVER_RETURN_IF_ERROR(ZeroBytes(
        stream, dwords.values, static_cast<size_t>(shape.vocabulary * shape.size) * sizeof(float)));
  }
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const WordsScratch at(shape);
  auto* const parts = reinterpret_cast<float*>(scratch + at.parts);
  auto* const keys = reinterpret_cast<int32_t*>(scratch + at.keys);
  auto* const order = reinterpret_cast<uint32_t*>(scratch + at.order);
  const auto none = static_cast<int32_t>(shape.vocabulary);
  DROVER_LAUNCH(KeysKernel, BlocksFor(shape.rows(), kThreads), kThreads, 0, handle,
                TokensOf(shape, batch, batch.samples), shape.rows(), none, keys);
  DROVER_RETURN_IF_ERROR(
      SortTokensOnGpu({.count = shape.rows(),
                       .keys = keys,
                       .key_max = none,
                       .scratch = reinterpret_cast<uint32_t*>(scratch + at.sort)},
                      order, stream));
  const SortedRows sorted = {shape.rows(), shape.size, none, keys, order};
  ForTypeAndWidth(dy, shape.size, [&](const auto* typed, auto width) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    constexpr int kWidth = decltype(width)::value;
    const dim3 grid(BlocksFor(shape.rows(), kRun), BlocksFor(shape.size, kThreads * kWidth));
    DROVER_LAUNCH((AddRunsKernel<T, kWidth>), grid, kThreads, 0, handle, sorted, typed, parts,
                  dwords.values);
    DROVER_LAUNCH(JoinRunsKernel<kWidth>, grid, kThreads, 0, handle, sorted, parts, dwords.values);
  });
  return LaunchStatus("EmbeddingBackwardWords");
}

Status EmbeddingBackwardPositionsGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                                     const Batch& batch, ConstGpuValues dy,
                                     const GradientSum& dpositions) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const Tokens tokens = TokensOf(shape, batch, batch.samples);
  ForTypeAndWidth(dy, shape.size, [&](const auto* typed, auto width) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    constexpr int kWidth = decltype(width)::value;
    DROVER_LAUNCH((PositionsKernel<T, kWidth>),
                  BlocksFor(shape.length * shape.size, kThreads * kWidth), kThreads, 0,
                  static_cast<cudaStream_t>(stream.handle()), tokens, shape.size, typed,
                  dpositions.accumulate, dpositions.values);
  });
  return LaunchStatus("EmbeddingBackwardPositions");
}

Status EmbeddingBackwardSegmentsGpu(const GpuStream& stream, const EmbeddingShapeGpu& shape,
                                    const Batch& batch, ConstGpuValues dy,
                                    const GradientSum& dsegments, std::byte* scratch) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  auto* const sums = reinterpret_cast<float*>(scratch);
  const int64_t slices = SegmentSlices(shape);
  const int64_t slice_rows = (shape.rows() + slices - 1) / slices;
  const Tokens tokens = TokensOf(shape, batch, batch.samples);
  ForTypeAndWidth(dy, shape.size, [&](const auto* typed, auto width) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    constexpr int kWidth = decltype(width)::value;
    const dim3 grid(static_cast<uint32_t>(slices), BlocksFor(shape.size, kThreads * kWidth),
                    static_cast<uint32_t>(shape.segments));
    DROVER_LAUNCH((SegmentsKernel<T, kWidth>), grid, kThreads, 0,
                  static_cast<cudaStream_t>(stream.handle()), tokens, slice_rows, shape.size, typed,
                  sums);
  });
  DROVER_RETURN_IF_ERROR(LaunchStatus("EmbeddingBackwardSegments"));
  return AddSlicesOnGpu({.slices = slices,
                         .columns = shape.segments * shape.size,
                         .stride = shape.segments * shape.size,
                         .sums = sums},
                        dsegments, stream);
}

}  // namespace drover
