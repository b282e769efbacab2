#include "worker/nn/dropout_gpu.h"

namespace drover {

DropoutGpu::DropoutGpu(const Layer& same, const std::string& name, const DropoutSpec& spec,
                       const Dims& input, const LayerSetting& setting)
    : GpuLayer(same),
      micro_batch_(setting.micro_batch),
      size_(ElementsOf(input)),
      at_evaluation_(spec.at_evaluation),
      strikes_out_(spec.probability > 0.0),
      mask_(name, spec.probability) {}

Status DropoutGpu::Multiply(const GpuLane& lane, const Batch& batch, bool draws,
                            ConstGpuValues from, GpuValues to) const {
  if (draws && strikes_out_) {
    return MultiplyByMaskOnGpu(*lane.stream, micro_batch_, size_, mask_.draw(batch.seed),
                               batch.positions, {.from = from, .plus = {}, .to = to});
  }
  if (from.data == to.data) return Status();
  return CopyBytesOnDevice(*lane.stream, to.data, from.data,
                           static_cast<size_t>(micro_batch_ * size_) * BytesOf(to.type));
}

Status DropoutGpu::Forward(const GpuForwardPass& pass) {
  return Multiply(pass.lane, *pass.batch, pass.training || at_evaluation_, pass.input, pass.output);
}

Status DropoutGpu::Backward(const GpuBackwardPass& pass) {
  if (pass.input_gradient.data == nullptr) return Status();
  return Multiply(pass.lane, *pass.batch, /*draws=*/true, pass.output_gradient,
                  pass.input_gradient);
}

}  // namespace drover
