// MeanSquaredError (mean_squared_error.h) on a GPU. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_MEAN_SQUARED_ERROR_GPU_H_
#define DROVER_WORKER_NN_MEAN_SQUARED_ERROR_GPU_H_

#include "worker/nn/gpu_head.h"
#include "worker/nn/loss_rows_gpu.h"
#include "worker/nn/network_spec.h"

namespace drover {

class MeanSquaredErrorGpu : public GpuHead {
 public:
  MeanSquaredErrorGpu(const Head& same, const MeanSquaredErrorSpec& spec, const Dims& input,
                      const LayerSetting& setting)
      : GpuHead(same),
        micro_batch_(setting.micro_batch),
        outputs_(ElementsOf(input)),
        classes_(spec.classes) {}

  size_t scratch_bytes() const override;
  Status Run(const GpuHeadPass& pass) override;

 private:
  const int64_t micro_batch_;
  const int64_t outputs_;
  const int64_t classes_;
};

// Of all rows; loss, answer and gradient are 0 from row `samples` on.
struct SquaredErrorRows {
  int64_t rows;
  int64_t samples;
  int64_t outputs;
  ConstGpuValues output;  // [rows, outputs]
  GpuValues gradient;     // Likewise, of the same type; null: not wanted.
  const float* targets;   // [rows, outputs]; null: 1 at the label, 0 elsewhere.
  const int32_t* labels;  // [rows]; not read if there are targets.
  LossRow* losses;        // [rows]
};
Status SquaredErrorRowsOnGpu(const SquaredErrorRows& rows, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_MEAN_SQUARED_ERROR_GPU_H_
