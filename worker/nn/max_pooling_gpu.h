// Max pooling (max_pooling.h) on a GPU. Forward keeps where in its window each largest value stood,
// in one byte or four; backward lets each value of the image gather from the windows that chose it,
// row by row. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_MAX_POOLING_GPU_H_
#define DROVER_WORKER_NN_MAX_POOLING_GPU_H_

#include "worker/nn/gpu_layer.h"
#include "worker/nn/max_pooling.h"

namespace drover {

class MaxPoolingGpu : public GpuLayer {
 public:
  MaxPoolingGpu(const Layer& same, const MaxPoolingSpec& spec, const Dims& input,
                const LayerSetting& setting);

  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const MaxPoolingShape shape_;
};

// Arrays as of MaxPoolingCpu, x and y of one type. places: MaxPoolingPlacesBytes(shape), written by
// the first and read by the second.
Status MaxPoolingForwardOnGpu(const MaxPoolingShape& shape, ConstGpuValues x, GpuValues y,
                              std::byte* places, const GpuStream& stream);
Status MaxPoolingBackwardOnGpu(const MaxPoolingShape& shape, ConstGpuValues dy,
                               const std::byte* places, GpuValues dx, const GpuStream& stream);
size_t MaxPoolingPlacesBytes(const MaxPoolingShape& shape);

}  // namespace drover

#endif  // DROVER_WORKER_NN_MAX_POOLING_GPU_H_
