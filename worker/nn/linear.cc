#include "worker/nn/linear.h"

#include <cmath>
#include <utility>

#include "common/base/check.h"

namespace drover {

Linear::Linear(std::string name, const LinearShape& shape, double gain_squared)
    : name_(std::move(name)), shape_(shape), gain_squared_(gain_squared) {}

std::vector<TensorSpec> Linear::tensors() const {
  const double bound = std::sqrt(3.0 * gain_squared_ / static_cast<double>(shape_.input_size));
  return {{.name = name_ + "/weight",
           .shape = {shape_.output_size, shape_.input_size},
           .init = {InitRule::Kind::kUniform, static_cast<float>(bound)}},
          {.name = name_ + "/bias",
           .shape = {shape_.output_size},
           .init = {InitRule::Kind::kConstant, 0.0f}}};
}

Status Linear::Forward(const ForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2);
  return LinearForwardCpu(shape_, pass.input, pass.weights[0], pass.weights[1], pass.output)
      .Annotate(name_);
}

Status Linear::Backward(const BackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 && pass.weight_gradients.size() == 2);
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsCpu(shape_, pass.input, pass.output_gradient,
                                                  pass.accumulate, pass.weight_gradients[0],
                                                  pass.weight_gradients[1])
                             .Annotate(name_));
  if (pass.input_gradient == nullptr) return Status();
  return LinearBackwardDataCpu(shape_, pass.output_gradient, pass.weights[0], pass.input_gradient)
      .Annotate(name_);
}

}  // namespace drover
