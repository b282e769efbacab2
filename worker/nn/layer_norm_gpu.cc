#include "worker/nn/layer_norm_gpu.h"

#include "common/base/check.h"

namespace drover {

LayerNormGpu::LayerNormGpu(const Layer& same, const LayerNormSpec& spec, const Dims& input,
                           const LayerSetting& setting)
    : GpuLayer(same),
      epsilon_(spec.epsilon),
      shape_(
          {.rows = setting.micro_batch * ElementsOf(input) / input.back(), .size = input.back()}) {}

GpuBytes LayerNormGpu::bytes() const {
  return {.kept = AlignedBytes(RowBytes()) + RowBytes(),
          .scratch = LayerNormScratchBytesGpu(shape_)};
}

Status LayerNormGpu::Forward(const GpuForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2);
  return LayerNormForwardGpu(*pass.lane.stream, shape_, epsilon_, pass.input,
                             pass.weights[0].values, pass.weights[1].values, Means(pass.kept),
                             InverseDeviations(pass.kept), pass.output);
}

Status LayerNormGpu::Backward(const GpuBackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 && pass.weight_gradients.size() == 2);
  return LayerNormBackwardGpu(*pass.lane.stream, shape_,
                              {.x = pass.input,
                               .dy = pass.output_gradient,
                               .weight = pass.weights[0].values,
                               .means = Means(pass.kept),
                               .inverse_deviations = InverseDeviations(pass.kept),
                               .dx = pass.input_gradient,
                               .dweight = pass.weight_gradients[0],
                               .dbias = pass.weight_gradients[1],
                               .scratch = reinterpret_cast<float*>(pass.scratch)});
}

}  // namespace drover
