#include "worker/nn/sigmoid.h"

namespace drover {

Status SigmoidLayer::Forward(const ForwardPass& pass) {
  SigmoidForwardCpu(elements_, pass.input, pass.output);
  return Status();
}

Status SigmoidLayer::Backward(const BackwardPass& pass) {
  if (pass.input_gradient == nullptr) return Status();
  SigmoidBackwardCpu(elements_, pass.output, pass.output_gradient, pass.input_gradient);
  return Status();
}

Result<std::unique_ptr<Layer>> MakeSigmoid(const Dims& input, const LayerSetting& setting) {
  return std::unique_ptr<Layer>(std::make_unique<SigmoidLayer>(input, setting.micro_batch));
}

}  // namespace drover
