#include "worker/nn/residual.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace drover {

Residual::Residual(std::unique_ptr<Chain> inner, int64_t micro_batch)
    : inner_(std::move(inner)),
      elements_(micro_batch * ElementsOf(inner_->output_dims())),
      inner_gradient_(static_cast<size_t>(elements_)) {}

Status Residual::Forward(const ForwardPass& pass) {
  DROVER_RETURN_IF_ERROR(inner_->Forward(pass));
  for (int64_t i = 0; i < elements_; ++i) pass.output[i] = pass.input[i] + inner_->output()[i];
  return Status();
}

Status Residual::Backward(const BackwardPass& pass) {
  BackwardPass inner = pass;
  std::copy_n(pass.output_gradient, elements_, inner_gradient_.data());
  inner.output_gradient = inner_gradient_.data();
  DROVER_RETURN_IF_ERROR(inner_->Backward(inner, {}));
  if (pass.input_gradient == nullptr) return Status();
  for (int64_t i = 0; i < elements_; ++i) pass.input_gradient[i] += pass.output_gradient[i];
  return Status();
}

Result<std::unique_ptr<Layer>> MakeResidual(const ResidualSpec& spec, const Dims& input,
                                            const LayerSetting& setting) {
  Result<std::unique_ptr<Chain>> inner = Chain::Make(spec.layers, input, setting);
  if (!inner.ok()) return inner.status().Annotate("residual");
  if (inner.value()->output_dims() != input) {
    return Status(Code::kInvalidArgument,
                  fmt::format("residual: its layers make {} of {}, expected the same shape",
                              DimsText(inner.value()->output_dims()), DimsText(input)));
  }
  return std::unique_ptr<Layer>(
      std::make_unique<Residual>(std::move(inner).value(), setting.micro_batch));
}

}  // namespace drover
