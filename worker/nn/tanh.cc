#include "worker/nn/tanh.h"

namespace drover {

Status TanhLayer::Forward(const ForwardPass& pass) {
  TanhForwardCpu(elements_, pass.input, pass.output);
  return Status();
}

Status TanhLayer::Backward(const BackwardPass& pass) {
  if (pass.input_gradient == nullptr) return Status();
  TanhBackwardCpu(elements_, pass.output, pass.output_gradient, pass.input_gradient);
  return Status();
}

Result<std::unique_ptr<Layer>> MakeTanh(const Dims& input, const LayerSetting& setting) {
  return std::unique_ptr<Layer>(std::make_unique<TanhLayer>(input, setting.micro_batch));
}

}  // namespace drover
