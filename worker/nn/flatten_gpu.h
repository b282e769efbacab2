// Flatten (flatten.h) on a GPU: each image is transposed, [pixels, channels] to [channels, pixels].
// Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_FLATTEN_GPU_H_
#define DROVER_WORKER_NN_FLATTEN_GPU_H_

#include <cstdint>

#include "worker/nn/gpu_layer.h"

namespace drover {

class FlattenGpu : public GpuLayer {
 public:
  FlattenGpu(const Layer& same, const Dims& input, const LayerSetting& setting);

  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const int64_t micro_batch_;
  const int64_t pixels_;
  const int64_t channels_;
};

// from: [samples, rows, columns]; to: [samples, columns, rows], of the same type. Enqueues.
Status TransposeSamplesOnGpu(const GpuStream& stream, int64_t samples, int64_t rows,
                             int64_t columns, ConstGpuValues from, GpuValues to);

}  // namespace drover

#endif  // DROVER_WORKER_NN_FLATTEN_GPU_H_
