#include "worker/nn/relu.h"

#include "common/base/check.h"

namespace drover {

Status Relu::Forward(const ForwardPass& pass) {
  DROVER_CHECK(pass.output == pass.input);
  ReluForwardCpu(micro_batch_ * size_, pass.output);
  return Status();
}

Status Relu::Backward(const BackwardPass& pass) {
  DROVER_CHECK(pass.input_gradient == pass.output_gradient);
  ReluBackwardCpu(micro_batch_ * size_, pass.output, pass.input_gradient);
  return Status();
}

}  // namespace drover
