#include "worker/nn/residual_gpu.h"

#include <utility>
#include <vector>

#include "worker/nn/dropout_gpu.h"

namespace drover {

ResidualGpu::ResidualGpu(const Layer& same, std::unique_ptr<GpuChain> inner,
                         std::optional<Dropout> dropout, const LayerSetting& setting)
    : GpuLayer(same),
      inner_(std::move(inner)),
      dropout_(std::move(dropout)),
      micro_batch_(setting.micro_batch),
      size_(ElementsOf(output_dims())),
      gradient_bytes_(static_cast<size_t>(micro_batch_ * size_) *
                      BytesOf(ActivationType(setting.precision))) {}

GpuBytes ResidualGpu::bytes() const {
  const GpuBytes inner = inner_->bytes();
  return {.kept = inner.kept, .scratch = AlignedBytes(gradient_bytes_) + inner.scratch};
}

Status ResidualGpu::Forward(const GpuForwardPass& pass) {
  const GpuStream& stream = *pass.lane.stream;
  GpuForwardPass inner = pass;
  inner.scratch = pass.scratch + AlignedBytes(gradient_bytes_);
  DROVER_RETURN_IF_ERROR(inner_->Forward(inner));
  if (!dropout_ || !(pass.training || dropout_->at_evaluation)) {
    return AddOnGpu(stream, micro_batch_ * size_, pass.input, inner_->output(), pass.output);
  }
  return MultiplyByMaskOnGpu(stream, micro_batch_, size_, dropout_->mask.draw(pass.batch->seed),
                             pass.batch->positions,
                             {.from = inner_->output(), .plus = pass.input, .to = pass.output});
}

Status ResidualGpu::Backward(const GpuBackwardPass& pass) {
  const GpuStream& stream = *pass.lane.stream;
  GpuBackwardPass inner = pass;
  inner.output_gradient.data = pass.scratch;
  inner.scratch = pass.scratch + AlignedBytes(gradient_bytes_);
  if (dropout_) {
    DROVER_RETURN_IF_ERROR(MultiplyByMaskOnGpu(
        stream, micro_batch_, size_, dropout_->mask.draw(pass.batch->seed), pass.batch->positions,
        {.from = pass.output_gradient, .plus = {}, .to = inner.output_gradient}));
  } else {
    DROVER_RETURN_IF_ERROR(CopyBytesOnDevice(stream, inner.output_gradient.data,
                                             pass.output_gradient.data, gradient_bytes_));
  }
  DROVER_RETURN_IF_ERROR(inner_->Backward(inner, {}));
  if (pass.input_gradient.data == nullptr) return Status();
  return AddOnGpu(stream, micro_batch_ * size_, pass.input_gradient, pass.output_gradient,
                  pass.input_gradient);
}

Result<std::unique_ptr<GpuLayer>> MakeResidualGpu(const Layer& same, const ResidualSpec& spec,
                                                  const Dims& input, const LayerSetting& setting) {
  std::vector<LayerSpec> layers = spec.layers;
  std::optional<ResidualGpu::Dropout> dropout;
  const auto* last = layers.empty() ? nullptr : std::get_if<DropoutSpec>(&layers.back().kind);
  if (last != nullptr) {
    // One that strikes nothing out is left out.
    if (last->probability > 0.0) {
      dropout.emplace(ResidualGpu::Dropout{DropoutMask(layers.back().name, last->probability),
                                           last->at_evaluation});
    }
    layers.pop_back();
  }
  Result<std::unique_ptr<GpuChain>> inner = GpuChain::Make(layers, input, setting);
  if (!inner.ok()) return inner.status().Annotate("residual");
  return std::unique_ptr<GpuLayer>(
      std::make_unique<ResidualGpu>(same, std::move(inner).value(), std::move(dropout), setting));
}

}  // namespace drover
