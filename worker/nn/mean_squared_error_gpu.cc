#include "worker/nn/mean_squared_error_gpu.h"

namespace drover {

size_t MeanSquaredErrorGpu::scratch_bytes() const {
  return static_cast<size_t>(micro_batch_) * sizeof(LossRow);
}

Status MeanSquaredErrorGpu::Run(const GpuHeadPass& pass) {
  auto* const losses = reinterpret_cast<LossRow*>(pass.scratch);
  DROVER_RETURN_IF_ERROR(
      SquaredErrorRowsOnGpu({.rows = micro_batch_,
                             .samples = pass.batch->samples,
                             .outputs = outputs_,
                             .output = pass.input,
                             .gradient = pass.input_gradient,
                             .targets = classes_ > 0 ? nullptr : pass.batch->targets,
                             .labels = pass.batch->labels,
                             .losses = losses},
                            *pass.lane.stream));
  return AddLossRowsOnGpu({.samples = losses, .sample_count = micro_batch_}, pass.result,
                          *pass.lane.stream);
}

}  // namespace drover
