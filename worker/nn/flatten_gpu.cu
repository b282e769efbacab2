// Pairs with flatten_gpu.h. Tiles of 32 x 32 through shared memory, so that rows are read and
// written by neighbouring threads: two accesses per value.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/flatten_gpu.h"
#include "worker/nn/gpu_access.cuh"

namespace drover {
namespace {

constexpr int kTile = 32;
constexpr int kTileRows = 8;  // Rows of a tile at once.

struct Tiles {
  int64_t rows;
  int64_t columns;
  uint32_t per_row;     // Of a sample.
  uint32_t per_column;  // Likewise.
};

// Values are only copied. blockIdx.x: the tile, samples first.
template <typename T>
__global__ void __launch_bounds__(kTile* kTileRows)
    TransposeKernel(Tiles tiles, const T* from, T* to) {
  DROVER_SHARED_ARRAY(T, tile, kTile * (kTile + 1));  // One more column: no conflicts of banks.
  const uint32_t in_sample = blockIdx.x % (tiles.per_row * tiles.per_column);
  const int64_t sample = blockIdx.x / (tiles.per_row * tiles.per_column);
  const int64_t start = sample * tiles.rows * tiles.columns;
  const int64_t first_row = int64_t{in_sample / tiles.per_row} * kTile;
  const int64_t first_column = int64_t{in_sample % tiles.per_row} * kTile;
  for (unsigned i = threadIdx.y; i < kTile; i += kTileRows) {
    const int64_t row = first_row + i;
    const int64_t column = first_column + threadIdx.x;
    if (row < tiles.rows && column < tiles.columns) {
      tile[i * (kTile + 1) + threadIdx.x] = from[start + row * tiles.columns + column];
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.y; i < kTile; i += kTileRows) {
    const int64_t row = first_row + threadIdx.x;
    const int64_t column = first_column + i;
    if (row < tiles.rows && column < tiles.columns) {
      to[start + column * tiles.rows + row] = tile[threadIdx.x * (kTile + 1) + i];
    }
  }
}

}  // namespace

Status TransposeSamplesOnGpu(const GpuStream& stream, int64_t samples, int64_t rows,
                             int64_t columns, ConstGpuValues from, GpuValues to) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto tiles_of = [](int64_t extent) {
    return static_cast<uint32_t>((extent + kTile - 1) / kTile);
  };
  const Tiles tiles = {rows, columns, tiles_of(columns), tiles_of(rows)};
  const auto blocks = static_cast<uint32_t>(samples) * tiles.per_row * tiles.per_column;
  ForType(to, [&](auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    DROVER_LAUNCH(TransposeKernel<T>, blocks, dim3(kTile, kTileRows), 0,
                  static_cast<cudaStream_t>(stream.handle()), tiles,
                  static_cast<const T*>(from.data), typed);
  });
  return LaunchStatus("Transpose");
}

}  // namespace drover
