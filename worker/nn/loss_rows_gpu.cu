// Pairs with loss_rows_gpu.h. One block: 16 bytes per row, a few thousand rows.

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/block_reduce.cuh"
#include "worker/nn/loss_rows_gpu.h"

namespace drover {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    AddLossRowsKernel(LossRows rows, GpuBatchResult* result) {
  DROVER_SHARED_ARRAY(double, doubles, kThreads / 32);
  DROVER_SHARED_ARRAY(int64_t, integers, kThreads / 32);
  double loss = 0.0;
  double masked_loss = 0.0;
  int64_t correct = 0;
  int64_t masked = 0;
  int64_t masked_correct = 0;
  for (int64_t i = threadIdx.x; i < rows.masked_count; i += kThreads) {
    const LossRow row = rows.masked[i];
    if (row.asked == 0) continue;
    loss += row.loss * rows.shares[i / rows.entries_per_sample];
    masked_loss += row.loss;
    masked += 1;
    masked_correct += row.correct;
  }
  for (int64_t i = threadIdx.x; i < rows.sample_count; i += kThreads) {
    const LossRow row = rows.samples[i];
    loss += row.loss;
    correct += row.correct;
  }
  loss = SumOverBlock<kThreads>(loss, doubles);
  masked_loss = SumOverBlock<kThreads>(masked_loss, doubles);
  correct = SumOverBlock<kThreads>(correct, integers);
  masked = SumOverBlock<kThreads>(masked, integers);
  masked_correct = SumOverBlock<kThreads>(masked_correct, integers);
  if (threadIdx.x == 0) *result = {loss, masked_loss, correct, masked, masked_correct};
}

}  // namespace

Status AddLossRowsOnGpu(const LossRows& rows, GpuBatchResult* result, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  DROVER_LAUNCH(AddLossRowsKernel, 1, kThreads, 0, static_cast<cudaStream_t>(stream.handle()), rows,
                result);
  return LaunchStatus("AddLossRows");
}

}  // namespace drover
