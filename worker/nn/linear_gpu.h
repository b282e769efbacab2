// Linear (linear.h) on a GPU: three products and the sums of columns. Not thread-safe; owned by one
// GpuModel.

#ifndef DROVER_WORKER_NN_LINEAR_GPU_H_
#define DROVER_WORKER_NN_LINEAR_GPU_H_

#include "worker/nn/gpu_layer.h"
#include "worker/nn/linear.h"

namespace drover {

class LinearGpu : public GpuLayer {
 public:
  LinearGpu(const Layer& same, const DenseSpec& spec, const Dims& input,
            const LayerSetting& setting);

  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const LinearShape shape_;
};

// The same passes for layers that are made of linear ones. Types: x, y, dy and dx are activations
// of shape.precision. scratch: LinearScratchBytesGpu(shape), for the second.
Status LinearForwardGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues x,
                        const GpuWeight& weight, const GpuWeight& bias, GpuValues y);
Status LinearBackwardWeightsGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues x,
                                ConstGpuValues dy, const GradientSum& dweight,
                                const GradientSum& dbias, std::byte* scratch);
// dy as rows inside a wider array.
Status LinearBackwardWeightsGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues x,
                                const ConstGpuMatrix& dy, const GradientSum& dweight,
                                const GradientSum& dbias, std::byte* scratch);
Status LinearBackwardDataGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues dy,
                             const GpuWeight& weight, GpuValues dx);
size_t LinearScratchBytesGpu(const LinearShape& shape);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LINEAR_GPU_H_
