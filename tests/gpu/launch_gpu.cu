#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "tests/gpu/launch_gpu.h"

namespace drover {
namespace {

// tickets[0]: the next tile that nobody has; tickets[1]: the next one that is added to `sum`.
__global__ void OrderedSumKernel(const float* values, size_t size, double* sum, uint32_t* tickets) {
  DROVER_SHARED_ARRAY(double, partial, kOrderedSumThreads);
  DROVER_SHARED_ARRAY(uint32_t, drawn, 1);
  while (true) {
    if (threadIdx.x == 0) drawn[0] = AddInteger(&tickets[0], 1);
    __syncthreads();
    const uint32_t tile = drawn[0];
    const size_t begin = tile * kOrderedSumTile;
    if (begin >= size) return;
    const size_t end = begin + kOrderedSumTile < size ? begin + kOrderedSumTile : size;
    double own = 0;
    for (size_t i = begin + threadIdx.x; i < end; i += kOrderedSumThreads) own += values[i];
    partial[threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.x == 0) {
      double tile_sum = 0;
      for (size_t i = 0; i < kOrderedSumThreads; ++i) tile_sum += partial[i];
      // Tiles before this one have an owner that runs, so this ends.
      while (LoadAcquire(&tickets[1]) != tile) SpinWait();
      *sum = (tile == 0 ? 0.0 : *sum) + tile_sum;
      StoreRelease(&tickets[1], tile + 1);
    }
    __syncthreads();
  }
}

}  // namespace

Status EnqueueOrderedSum(const GpuStream& stream, const float* values, size_t size, double* sum,
                         uint32_t* tickets, int blocks) {
  DROVER_RETURN_IF_ERROR(ZeroBytes(stream, tickets, 2 * sizeof(*tickets)));
  DROVER_RETURN_IF_ERROR(ZeroBytes(stream, sum, sizeof(*sum)));
  DROVER_LAUNCH(OrderedSumKernel, blocks, static_cast<unsigned int>(kOrderedSumThreads), 0,
                static_cast<cudaStream_t>(stream.handle()), values, size, sum, tickets);
  return LaunchStatus("OrderedSumKernel");
}

}  // namespace drover
