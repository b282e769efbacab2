#include "worker/nn/max_pooling.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace drover {
namespace {

constexpr int64_t kPoolSizeMax = 1024;

}  // namespace

Status MaxPooling::Forward(const ForwardPass& pass) {
  return cpu_.Forward(pass.input, pass.output).Annotate("max pooling");
}

Status MaxPooling::Backward(const BackwardPass& pass) {
  if (pass.input_gradient == nullptr) return Status();
  return cpu_.Backward(pass.output_gradient, pass.input_gradient).Annotate("max pooling");
}

Result<std::unique_ptr<Layer>> MakeMaxPooling(const MaxPoolingSpec& spec, const Dims& input,
                                              const LayerSetting& setting) {
  const auto refuse = [](const std::string& why) {
    return Status(Code::kInvalidArgument, "max pooling: " + why);
  };
  if (input.size() != 3) {
    return refuse(fmt::format("input {}, expected height x width x channels", DimsText(input)));
  }
  if (spec.size < 1 || spec.size > kPoolSizeMax) {
    return refuse(fmt::format("size={}, expected 1 to {}", spec.size, kPoolSizeMax));
  }
  if (spec.stride < 1 || spec.stride > kPoolSizeMax) {
    return refuse(fmt::format("stride={}, expected 1 to {}", spec.stride, kPoolSizeMax));
  }
  const MaxPoolingShape shape = {
      .samples = setting.micro_batch,
      .channels = input[2],
      .height = MakeWindowAxis(input[0], spec.size, spec.stride, spec.padding),
      .width = MakeWindowAxis(input[1], spec.size, spec.stride, spec.padding)};
  if (shape.height.count == 0 || shape.width.count == 0) {
    return refuse(fmt::format("size={} on {}, expected a smaller one, or padding: same", spec.size,
                              DimsText(input)));
  }
  auto layer = std::make_unique<MaxPooling>(shape);
  DROVER_RETURN_IF_ERROR(layer->Init().Annotate("max pooling"));
  return std::unique_ptr<Layer>(std::move(layer));
}

}  // namespace drover
