#include "worker/nn/flatten_gpu.h"

namespace drover {

// Images only: for others the layer is a view, and neither pass is called.
FlattenGpu::FlattenGpu(const Layer& same, const Dims& input, const LayerSetting& setting)
    : GpuLayer(same),
      micro_batch_(setting.micro_batch),
      pixels_(ElementsOf(input) / input.back()),
      channels_(input.back()) {}

Status FlattenGpu::Forward(const GpuForwardPass& pass) {
  return TransposeSamplesOnGpu(*pass.lane.stream, micro_batch_, pixels_, channels_, pass.input,
                               pass.output);
}

Status FlattenGpu::Backward(const GpuBackwardPass& pass) {
  if (pass.input_gradient.data == nullptr) return Status();
  return TransposeSamplesOnGpu(*pass.lane.stream, micro_batch_, channels_, pixels_,
                               pass.output_gradient, pass.input_gradient);
}

}  // namespace drover
