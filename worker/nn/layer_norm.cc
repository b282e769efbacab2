#include "worker/nn/layer_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace drover {

LayerNorm::LayerNorm(std::string name, const LayerNormSpec& spec, const Dims& input,
                     const LayerSetting& setting)
    : name_(std::move(name)),
      epsilon_(spec.epsilon),
      dims_(input),
      shape_(
          {.rows = setting.micro_batch * ElementsOf(input) / input.back(), .size = input.back()}),
      means_(static_cast<size_t>(shape_.rows)),
      deviations_(static_cast<size_t>(shape_.rows)) {}

std::vector<TensorSpec> LayerNorm::tensors() const {
  return {{.name = name_ + ".weight",
           .shape = {shape_.size},
           .init = {.kind = InitRule::Kind::kConstant, .value = 1.0f}},
          {.name = name_ + ".bias", .shape = {shape_.size}, .init = {}}};
}

Status LayerNorm::Forward(const ForwardPass& pass) {
  LayerNormForwardCpu(shape_, epsilon_, pass.input, pass.weights[0], pass.weights[1], means_.data(),
                      deviations_.data(), pass.output);
  return Status();
}

Status LayerNorm::Backward(const BackwardPass& pass) {
  for (const GradientSum& sum : pass.weight_gradients) {
    if (!sum.accumulate) std::fill_n(sum.values, shape_.size, 0.0f);
  }
  LayerNormBackwardWeightsCpu(shape_, pass.input, means_.data(), deviations_.data(),
                              pass.output_gradient, pass.weight_gradients[0].values,
                              pass.weight_gradients[1].values);
  if (pass.input_gradient == nullptr) return Status();
  LayerNormBackwardDataCpu(shape_, pass.input, pass.weights[0], means_.data(), deviations_.data(),
                           pass.output_gradient, pass.input_gradient);
  return Status();
}

Result<std::unique_ptr<Layer>> MakeLayerNorm(const std::string& name, const LayerNormSpec& spec,
                                             const Dims& input, const LayerSetting& setting) {
  if (!(spec.epsilon > 0.0 && spec.epsilon <= 1.0)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} (layer_norm): epsilon={}, expected above 0, at most 1", name,
                              spec.epsilon));
  }
  return std::unique_ptr<Layer>(std::make_unique<LayerNorm>(name, spec, input, setting));
}

}  // namespace drover
