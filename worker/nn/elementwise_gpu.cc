#include "worker/nn/elementwise_gpu.h"

namespace drover {

ElementwiseGpu::ElementwiseGpu(const Layer& same, const Dims& input, const LayerSetting& setting,
                               ElementwiseForwardGpu forward, ElementwiseBackwardGpu backward)
    : GpuLayer(same),
      elements_(setting.micro_batch * ElementsOf(input)),
      forward_(forward),
      backward_(backward) {}

Status ElementwiseGpu::Forward(const GpuForwardPass& pass) {
  return forward_(*pass.lane.stream, elements_, pass.input, pass.output);
}

Status ElementwiseGpu::Backward(const GpuBackwardPass& pass) {
  if (pass.input_gradient.data == nullptr) return Status();
  return backward_(*pass.lane.stream, elements_, keeps_output() ? pass.output : pass.input,
                   pass.output_gradient, pass.input_gradient);
}

}  // namespace drover
