#include "worker/nn/linear.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

constexpr int64_t kDenseSizeMax = int64_t{1} << 20;

Dims WithLast(Dims dims, int64_t last) {
  dims.back() = last;
  return dims;
}

}  // namespace

Linear::Linear(std::string name, const DenseSpec& spec, const Dims& input,
               const LayerSetting& setting)
    : name_(std::move(name)),
      spec_(spec),
      shape_({.rows = setting.micro_batch * ElementsOf(input) / input.back(),
              .input_size = input.back(),
              .output_size = spec.size,
              .precision = setting.precision}),
      output_(WithLast(input, spec.size)) {}

std::vector<TensorSpec> Linear::tensors() const {
  return {{.name = name_ + ".weight",
           .shape = {shape_.output_size, shape_.input_size},
           .init = MakeInitRule(spec_.weight_init, shape_.input_size, shape_.output_size)},
          {.name = name_ + ".bias",
           .shape = {shape_.output_size},
           .init = MakeBiasInit(spec_.bias_deviation)}};
}

Status Linear::Forward(const ForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2);
  return LinearForwardCpu(shape_, pass.input, pass.weights[0], pass.weights[1], pass.output)
      .Annotate(name_);
}

Status Linear::Backward(const BackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 && pass.weight_gradients.size() == 2);
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsCpu(shape_, pass.input, pass.output_gradient,
                                                  pass.weight_gradients[0].accumulate,
                                                  pass.weight_gradients[0].values,
                                                  pass.weight_gradients[1].values)
                             .Annotate(name_));
  if (pass.input_gradient == nullptr) return Status();
  return LinearBackwardDataCpu(shape_, pass.output_gradient, pass.weights[0], pass.input_gradient)
      .Annotate(name_);
}

Result<std::unique_ptr<Layer>> MakeLinear(const std::string& name, const DenseSpec& spec,
                                          const Dims& input, const LayerSetting& setting) {
  if (spec.size < 1 || spec.size > kDenseSizeMax) {
    return Status(Code::kInvalidArgument, fmt::format("{} (dense): size={}, expected 1 to {}", name,
                                                      spec.size, kDenseSizeMax));
  }
  return std::unique_ptr<Layer>(std::make_unique<Linear>(name, spec, input, setting));
}

}  // namespace drover
