// Pairs with column_sums_gpu.h. One thread per column and slice of rows: neighbouring threads read
// neighbouring columns.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/column_sums_gpu.h"
#include "worker/nn/gpu_access.cuh"

namespace drover {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kSliceRows = 128;
constexpr unsigned kAddColumns = 32;
constexpr unsigned kAddRows = 8;

int64_t SlicesOf(int64_t rows) { return (rows + kSliceRows - 1) / kSliceRows; }

template <typename T>
__global__ void __launch_bounds__(kThreads)
    SliceSumsKernel(int64_t rows, int64_t columns, const T* values, int64_t stride,
                    float* slice_sums) {
  const int64_t column = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (column >= columns) return;
  const int64_t first = int64_t{blockIdx.y} * kSliceRows;
  const int64_t end = first + kSliceRows < rows ? first + kSliceRows : rows;
  float sum = 0.0f;
  for (int64_t row = first; row < end; ++row) sum += ValueAt(values, row * stride + column);
  slice_sums[int64_t{blockIdx.y} * columns + column] = sum;
}

// Threads (x, y): column x of the block's, every kAddRows-th slice from y on.
__global__ void __launch_bounds__(kAddColumns* kAddRows)
    AddSlicesKernel(SliceSumsOnGpu slices, bool accumulate, float* sums) {
  DROVER_SHARED_ARRAY(float, parts, kAddColumns* kAddRows);
  const int64_t column = int64_t{blockIdx.x} * kAddColumns + threadIdx.x;
  float part = 0.0f;
  if (column < slices.columns) {
    for (int64_t slice = threadIdx.y; slice < slices.slices; slice += kAddRows) {
      part += slices.sums[slice * slices.stride + column];
    }
  }
  parts[threadIdx.y * kAddColumns + threadIdx.x] = part;
  __syncthreads();
  if (threadIdx.y != 0 || column >= slices.columns) return;
  float sum = part;
  for (unsigned row = 1; row < kAddRows; ++row) {
    const float other = parts[row * kAddColumns + threadIdx.x];
    sum += other;
  }
  sums[column] = accumulate ? sums[column] + sum : sum;
}

}  // namespace

size_t ColumnSumsScratchBytes(int64_t rows, int64_t columns) {
  return static_cast<size_t>(SlicesOf(rows) * columns) * sizeof(float);
}

Status ColumnSumsOnGpu(int64_t rows, int64_t columns, ConstGpuValues values, const GradientSum& sum,
                       float* scratch, const GpuStream& stream) {
  return ColumnSumsOnGpu(rows, columns, ConstGpuMatrix{values, columns}, sum, scratch, stream);
}

Status ColumnSumsOnGpu(int64_t rows, int64_t columns, const ConstGpuMatrix& matrix,
                       const GradientSum& sum, float* scratch, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const auto slices = static_cast<uint32_t>(SlicesOf(rows));
  const auto blocks = static_cast<uint32_t>((columns + kThreads - 1) / kThreads);
  ForType(matrix.values, [&](const auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    DROVER_LAUNCH(SliceSumsKernel<T>, dim3(blocks, slices), kThreads, 0, handle, rows, columns,
                  typed, matrix.stride, scratch);
  });
  DROVER_RETURN_IF_ERROR(LaunchStatus("ColumnSums"));
  return AddSlicesOnGpu({.slices = slices, .columns = columns, .stride = columns, .sums = scratch},
                        sum, stream);
}

Status AddSlicesOnGpu(const SliceSumsOnGpu& slices, const GradientSum& sum,
                      const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto blocks = static_cast<uint32_t>((slices.columns + kAddColumns - 1) / kAddColumns);
  DROVER_LAUNCH(AddSlicesKernel, blocks, dim3(kAddColumns, kAddRows), 0,
                static_cast<cudaStream_t>(stream.handle()), slices, sum.accumulate, sum.values);
  return LaunchStatus("AddSlices");
}

}  // namespace drover
