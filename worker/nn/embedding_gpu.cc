#include "worker/nn/embedding_gpu.h"

#include <algorithm>

#include "common/base/check.h"

namespace drover {

EmbeddingGpu::EmbeddingGpu(const Layer& same, const EmbeddingSpec& spec, const Dims& input,
                           const LayerSetting& setting)
    : GpuLayer(same),
      shape_({.micro_batch = setting.micro_batch,
              .length = input[0],
              .size = spec.size,
              .vocabulary = spec.vocabulary,
              .segments = spec.segments}),
      has_positions_(spec.positions > 0),
      positions_beyond_(has_positions_ ? spec.positions - input[0] : 0) {}

// One after the other: they share the scratch.
GpuBytes EmbeddingGpu::bytes() const {
  return {.kept = 0,
          .scratch =
              std::max(EmbeddingWordsScratchBytes(shape_), EmbeddingSegmentsScratchBytes(shape_))};
}

Status EmbeddingGpu::Forward(const GpuForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == tensors().size());
  EmbeddingTables tables = {.words = pass.weights[0].values};
  if (has_positions_) tables.positions = pass.weights[1].values;
  if (shape_.segments > 0) tables.segments = pass.weights.back().values;
  return EmbeddingForwardGpu(*pass.lane.stream, shape_, *pass.batch, tables, pass.output);
}

Status EmbeddingGpu::Backward(const GpuBackwardPass& pass) {
  DROVER_CHECK(pass.weight_gradients.size() == tensors().size());
  DROVER_CHECK(pass.input_gradient.data == nullptr);  // Tokens have none.
  const GpuStream& stream = *pass.lane.stream;
  const ConstGpuValues dy = pass.output_gradient;
  DROVER_RETURN_IF_ERROR(EmbeddingBackwardWordsGpu(stream, shape_, *pass.batch, dy,
                                                   pass.weight_gradients[0], pass.scratch));
  if (has_positions_) {
    const GradientSum& sum = pass.weight_gradients[1];
    DROVER_RETURN_IF_ERROR(EmbeddingBackwardPositionsGpu(stream, shape_, *pass.batch, dy, sum));
    if (!sum.accumulate) {
      DROVER_RETURN_IF_ERROR(
          ZeroBytes(stream, sum.values + shape_.length * shape_.size,
                    static_cast<size_t>(positions_beyond_ * shape_.size) * sizeof(float)));
    }
  }
  if (shape_.segments == 0) return Status();
  return EmbeddingBackwardSegmentsGpu(stream, shape_, *pass.batch, dy, pass.weight_gradients.back(),
                                      pass.scratch);
}

}  // namespace drover
