#include "worker/nn/convolution.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

constexpr int64_t kFiltersMax = 65536;
constexpr int64_t kKernelMax = 1024;

}  // namespace

Convolution::Convolution(std::string name, const ConvolutionSpec& spec,
                         const ConvolutionShape& shape)
    : name_(std::move(name)),
      spec_(spec),
      shape_(shape),
      output_({shape.height.count, shape.width.count, shape.filters}),
      cpu_(shape) {}

std::vector<TensorSpec> Convolution::tensors() const {
  const int64_t window = spec_.kernel * spec_.kernel;
  return {
      {.name = name_ + ".weight",
       .shape = {shape_.filters, shape_.channels, spec_.kernel, spec_.kernel},
       .init = MakeInitRule(spec_.weight_init, window * shape_.channels, window * shape_.filters)},
      {.name = name_ + ".bias",
       .shape = {shape_.filters},
       .init = MakeBiasInit(spec_.bias_deviation)}};
}

Status Convolution::Forward(const ForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2);
  return cpu_.Forward(pass.input, pass.weights[0], pass.weights[1], pass.output).Annotate(name_);
}

Status Convolution::Backward(const BackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 && pass.weight_gradients.size() == 2);
  const GradientSum& weight = pass.weight_gradients[0];
  const GradientSum& bias = pass.weight_gradients[1];
  return cpu_
      .Backward(pass.input, pass.weights[0], pass.output_gradient, weight.accumulate, weight.values,
                bias.values, pass.input_gradient)
      .Annotate(name_);
}

Result<std::unique_ptr<Layer>> MakeConvolution(const std::string& name, const ConvolutionSpec& spec,
                                               const Dims& input, const LayerSetting& setting) {
  const auto refuse = [&](const std::string& why) {
    return Status(Code::kInvalidArgument, fmt::format("{} (convolution): {}", name, why));
  };
  if (input.size() != 3) {
    return refuse(fmt::format("input {}, expected height x width x channels", DimsText(input)));
  }
  if (spec.filters < 1 || spec.filters > kFiltersMax) {
    return refuse(fmt::format("filters={}, expected 1 to {}", spec.filters, kFiltersMax));
  }
  if (spec.kernel < 1 || spec.kernel > kKernelMax) {
    return refuse(fmt::format("kernel={}, expected 1 to {}", spec.kernel, kKernelMax));
  }
  if (spec.stride < 1 || spec.stride > kKernelMax) {
    return refuse(fmt::format("stride={}, expected 1 to {}", spec.stride, kKernelMax));
  }
  const ConvolutionShape shape = {
      .samples = setting.micro_batch,
      .channels = input[2],
      .filters = spec.filters,
      .height = MakeWindowAxis(input[0], spec.kernel, spec.stride, spec.padding),
      .width = MakeWindowAxis(input[1], spec.kernel, spec.stride, spec.padding),
      .precision = setting.precision};
  if (shape.height.count == 0 || shape.width.count == 0) {
    return refuse(fmt::format("kernel={} on {}, expected a smaller one, or padding: same",
                              spec.kernel, DimsText(input)));
  }
  auto layer = std::make_unique<Convolution>(name, spec, shape);
  DROVER_RETURN_IF_ERROR(layer->Init().Annotate(name));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace drover
