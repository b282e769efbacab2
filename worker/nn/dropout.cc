#include "worker/nn/dropout.h"

#include <fmt/format.h>

#include <algorithm>

namespace drover {

Dropout::Dropout(const std::string& name, const DropoutSpec& spec, const Dims& input,
                 const LayerSetting& setting)
    : dims_(input),
      micro_batch_(setting.micro_batch),
      size_(ElementsOf(input)),
      at_evaluation_(spec.at_evaluation),
      mask_(name, spec.probability),
      factors_(static_cast<size_t>(micro_batch_ * size_)) {}

Status Dropout::Forward(const ForwardPass& pass) {
  if (!pass.training && !at_evaluation_) {
    if (pass.output != pass.input) std::copy_n(pass.input, micro_batch_ * size_, pass.output);
    return Status();
  }
  std::fill(factors_.begin(), factors_.end(), mask_.scale());
  for (int64_t sample = 0; sample < micro_batch_; ++sample) {
    mask_.StrikeOut({pass.batch->seed, pass.batch->positions[sample]}, 0, size_,
                    factors_.data() + sample * size_);
  }
  ClearStruckOutCpu(micro_batch_ * size_, factors_.data());
  MultiplyCpu(micro_batch_ * size_, pass.input, factors_.data(), pass.output);
  return Status();
}

Status Dropout::Backward(const BackwardPass& pass) {
  if (pass.input_gradient == nullptr) return Status();
  MultiplyCpu(micro_batch_ * size_, pass.output_gradient, factors_.data(), pass.input_gradient);
  return Status();
}

Result<std::unique_ptr<Layer>> MakeDropout(const std::string& name, const DropoutSpec& spec,
                                           const Dims& input, const LayerSetting& setting) {
  if (name.empty()) {
    return Status(Code::kInvalidArgument,
                  "dropout: the layer has no name, from which its random numbers are drawn");
  }
  if (!(spec.probability >= 0.0 && spec.probability < 1.0)) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("{} (dropout): probability={}, expected 0 to below 1", name, spec.probability));
  }
  return std::unique_ptr<Layer>(std::make_unique<Dropout>(name, spec, input, setting));
}

}  // namespace drover
