#include "worker/nn/relu.h"

namespace drover {

Status Relu::Forward(const ForwardPass& pass) {
  ReluForwardCpu(elements_, pass.input, pass.output);
  return Status();
}

Status Relu::Backward(const BackwardPass& pass) {
  if (pass.input_gradient == nullptr) return Status();
  ReluBackwardCpu(elements_, pass.output, pass.output_gradient, pass.input_gradient);
  return Status();
}

Result<std::unique_ptr<Layer>> MakeRelu(const Dims& input, const LayerSetting& setting) {
  return std::unique_ptr<Layer>(std::make_unique<Relu>(input, setting.micro_batch));
}

}  // namespace drover
