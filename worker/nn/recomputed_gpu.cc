#include "worker/nn/recomputed_gpu.h"

#include <utility>

namespace drover {
namespace {

// What there is to know of a chain as one layer. Never run.
class ChainAsLayer : public Layer {
 public:
  explicit ChainAsLayer(const GpuChain& chain) : chain_(chain) {}
  std::vector<TensorSpec> tensors() const override { return chain_.tensors(); }
  const Dims& output_dims() const override { return chain_.output_dims(); }
  Status Forward(const ForwardPass&) override { return Status(Code::kInternal, "not a layer"); }
  Status Backward(const BackwardPass&) override { return Status(Code::kInternal, "not a layer"); }

 private:
  const GpuChain& chain_;
};

}  // namespace

RecomputedGpu::RecomputedGpu(std::unique_ptr<GpuChain> inner, const LayerSetting& setting)
    : GpuLayer(ChainAsLayer(*inner)),
      inner_(std::move(inner)),
      output_bytes_(static_cast<size_t>(setting.micro_batch * ElementsOf(output_dims())) *
                    BytesOf(ActivationType(setting.precision))) {}

GpuBytes RecomputedGpu::bytes() const {
  const GpuBytes inner = inner_->bytes();
  return {.kept = 0, .scratch = AlignedBytes(inner.kept) + inner.scratch};
}

Status RecomputedGpu::Forward(const GpuForwardPass& pass) {
  GpuForwardPass inner = pass;
  inner.kept = pass.scratch;
  inner.scratch = pass.scratch + AlignedBytes(inner_->bytes().kept);
  DROVER_RETURN_IF_ERROR(inner_->Forward(inner));
  return CopyBytesOnDevice(*pass.lane.stream, pass.output.data, inner_->output().data,
                           output_bytes_);
}

Status RecomputedGpu::Backward(const GpuBackwardPass& pass) {
  GpuBackwardPass inner = pass;
  inner.kept = pass.scratch;
  inner.scratch = pass.scratch + AlignedBytes(inner_->bytes().kept);
  DROVER_RETURN_IF_ERROR(inner_->Forward({.lane = pass.lane,
                                          .batch = pass.batch,
                                          .training = true,  // Else there is no backward pass.
                                          .input = pass.input,
                                          .weights = pass.weights,
                                          .output = {},
                                          .kept = inner.kept,
                                          .scratch = inner.scratch}));
  return inner_->Backward(inner, {});
}

Result<std::unique_ptr<GpuLayer>> MakeRecomputedGpu(const std::vector<LayerSpec>& layers,
                                                    const Dims& input,
                                                    const LayerSetting& setting) {
  Result<std::unique_ptr<GpuChain>> inner = GpuChain::Make(layers, input, setting);
  if (!inner.ok()) return inner.status();
  return std::unique_ptr<GpuLayer>(
      std::make_unique<RecomputedGpu>(std::move(inner).value(), setting));
}

}  // namespace drover
