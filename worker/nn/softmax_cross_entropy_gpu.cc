#include "worker/nn/softmax_cross_entropy_gpu.h"

#include "worker/nn/loss_rows_gpu.h"
#include "worker/nn/softmax_rows_gpu.h"

namespace drover {

size_t SoftmaxCrossEntropyGpu::scratch_bytes() const {
  return static_cast<size_t>(micro_batch_) * sizeof(LossRow);
}

Status SoftmaxCrossEntropyGpu::Run(const GpuHeadPass& pass) {
  auto* const losses = reinterpret_cast<LossRow*>(pass.scratch);
  DROVER_RETURN_IF_ERROR(SoftmaxRowsOnGpu({.rows = micro_batch_,
                                           .real_rows = pass.batch->samples,
                                           .classes = classes_,
                                           .stride = classes_,
                                           .logits = pass.input,
                                           .gradient = pass.input_gradient,
                                           .labels = pass.batch->labels,
                                           .shares = nullptr,
                                           .first_row = 0,
                                           .rows_per_share = 1,
                                           .losses = losses},
                                          *pass.lane.stream));
  return AddLossRowsOnGpu({.samples = losses, .sample_count = micro_batch_}, pass.result,
                          *pass.lane.stream);
}

}  // namespace drover
