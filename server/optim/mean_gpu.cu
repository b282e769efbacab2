// Pairs with mean_gpu.h.

#include "common/gpu/access.cuh"
#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "server/optim/mean_gpu.h"
#include "server/optim/square_fold.cuh"

namespace drover {
namespace {

__global__ void __launch_bounds__(kStripThreads)
    ConvertKernel(UpdateTables tables, const int64_t* sums, double mean_factor, float* gradient,
                  double* strip_squares) {
  DROVER_SHARED_ARRAY(double, scratch, kStripSegments);
  const UpdateStrip strip = tables.strips[blockIdx.x];
  double squares[1][4] = {};
  for (uint32_t row = 0; row < kStripRows; ++row) {
    const uint32_t first = StripElement(row);
    const int left = static_cast<int>(strip.size) - static_cast<int>(first);
    int64_t q[4] = {};
    float mean[4];
    ReadFourStreaming(sums + strip.offset + first, left, q);
    for (int k = 0; k < 4; ++k) {
      mean[k] = static_cast<float>(static_cast<double>(q[k]) * mean_factor);
      const double g = mean[k];
      if (k < left) squares[0][k] += g * g;
    }
    WriteFour(gradient + strip.offset + first, left, mean);
  }
  double sum[1];
  FoldStrip<1>(squares, scratch, sum);
  if (threadIdx.x == 0) strip_squares[blockIdx.x] = sum[0];
}

__global__ void __launch_bounds__(kStripThreads)
    BlockSquaresKernel(UpdateTables tables, const double* strip_squares, double* block_squares) {
  const uint32_t block = blockIdx.x * kStripThreads + threadIdx.x;
  if (block >= tables.block_count) return;
  double sum = 0.0;
  for (uint32_t strip = tables.block_strips[block]; strip < tables.block_strips[block + 1];
       ++strip) {
    sum += strip_squares[strip];
  }
  block_squares[block] = sum;
}

}  // namespace

Status ConvertOnGpu(const UpdateTables& tables, const int64_t* sums, double mean_factor,
                    float* gradient, double* strip_squares, double* block_squares,
                    const GpuStream& stream) {
  if (tables.strip_count == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  DROVER_LAUNCH(ConvertKernel, tables.strip_count, kStripThreads, 0, handle, tables, sums,
                mean_factor, gradient, strip_squares);
  const uint32_t grid = (tables.block_count + kStripThreads - 1) / kStripThreads;
  DROVER_LAUNCH(BlockSquaresKernel, grid, kStripThreads, 0, handle, tables, strip_squares,
                block_squares);
  return LaunchStatus("ConvertKernel");
}

}  // namespace drover
