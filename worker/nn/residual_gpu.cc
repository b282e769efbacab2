#include "worker/nn/residual_gpu.h"

#include <utility>

namespace drover {

ResidualGpu::ResidualGpu(const Layer& same, std::unique_ptr<GpuChain> inner,
                         const LayerSetting& setting)
    : GpuLayer(same),
      inner_(std::move(inner)),
      elements_(setting.micro_batch * ElementsOf(output_dims())),
      gradient_bytes_(static_cast<size_t>(elements_) * BytesOf(ActivationType(setting.precision))) {
}

GpuBytes ResidualGpu::bytes() const {
  const GpuBytes inner = inner_->bytes();
  return {.kept = inner.kept, .scratch = AlignedBytes(gradient_bytes_) + inner.scratch};
}

Status ResidualGpu::Forward(const GpuForwardPass& pass) {
  GpuForwardPass inner = pass;
  inner.scratch = pass.scratch + AlignedBytes(gradient_bytes_);
  DROVER_RETURN_IF_ERROR(inner_->Forward(inner));
  return AddOnGpu(*pass.lane.stream, elements_, pass.input, inner_->output(), pass.output);
}

Status ResidualGpu::Backward(const GpuBackwardPass& pass) {
  GpuBackwardPass inner = pass;
  inner.output_gradient.data = pass.scratch;
  inner.scratch = pass.scratch + AlignedBytes(gradient_bytes_);
  DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(*pass.lane.stream, inner.output_gradient.data,
                                           pass.output_gradient.data, gradient_bytes_));
  DROVER_RETURN_IF_ERROR(inner_->Backward(inner, {}));
  if (pass.input_gradient.data == nullptr) return Status();
  return AddOnGpu(*pass.lane.stream, elements_, pass.input_gradient, pass.output_gradient,
                  pass.input_gradient);
}

Result<std::unique_ptr<GpuLayer>> MakeResidualGpu(const Layer& same, const ResidualSpec& spec,
                                                  const Dims& input, const LayerSetting& setting) {
  Result<std::unique_ptr<GpuChain>> inner = GpuChain::Make(spec.layers, input, setting);
  if (!inner.ok()) return inner.status().Annotate("residual");
  return std::unique_ptr<GpuLayer>(
      std::make_unique<ResidualGpu>(same, std::move(inner).value(), setting));
}

}  // namespace drover
