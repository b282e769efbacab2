#include "worker/nn/gelu.h"

namespace drover {

Status Gelu::Forward(const ForwardPass& pass) {
  GeluForwardCpu(elements_, pass.input, pass.output);
  return Status();
}

Status Gelu::Backward(const BackwardPass& pass) {
  if (pass.input_gradient == nullptr) return Status();
  GeluBackwardCpu(elements_, pass.input, pass.output_gradient, pass.input_gradient);
  return Status();
}

Result<std::unique_ptr<Layer>> MakeGelu(const Dims& input, const LayerSetting& setting) {
  return std::unique_ptr<Layer>(std::make_unique<Gelu>(input, setting.micro_batch));
}

}  // namespace drover
