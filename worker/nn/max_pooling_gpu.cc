#include "worker/nn/max_pooling_gpu.h"

namespace drover {

MaxPoolingGpu::MaxPoolingGpu(const Layer& same, const MaxPoolingSpec& spec, const Dims& input,
                             const LayerSetting& setting)
    : GpuLayer(same),
      shape_({.samples = setting.micro_batch,
              .channels = input[2],
              .height = MakeWindowAxis(input[0], spec.size, spec.stride, spec.padding),
              .width = MakeWindowAxis(input[1], spec.size, spec.stride, spec.padding)}) {}

GpuBytes MaxPoolingGpu::bytes() const {
  return {.kept = MaxPoolingPlacesBytes(shape_), .scratch = 0};
}

Status MaxPoolingGpu::Forward(const GpuForwardPass& pass) {
  return MaxPoolingForwardOnGpu(shape_, pass.input, pass.output, pass.kept, *pass.lane.stream);
}

Status MaxPoolingGpu::Backward(const GpuBackwardPass& pass) {
  if (pass.input_gradient.data == nullptr) return Status();
  return MaxPoolingBackwardOnGpu(shape_, pass.output_gradient, pass.kept, pass.input_gradient,
                                 *pass.lane.stream);
}

}  // namespace drover
