#include "worker/nn/recurrent_gpu.h"

#include <algorithm>

#include "common/base/check.h"

namespace drover {
namespace {

GpuSequences SequencesOf(const RecurrentShape& shape) {
  return {.samples = shape.samples, .steps = shape.steps, .features = shape.input_size};
}

}  // namespace

RecurrentGpu::RecurrentGpu(const Layer& same, const RecurrentSpec& spec, const Dims& input,
                           const LayerSetting& setting)
    : GpuLayer(same),
      shape_({.cell = spec.cell,
              .samples = setting.micro_batch,
              .steps = input[0],
              .input_size = ElementsOf(input) / input[0],
              .size = spec.size,
              .last_only = spec.last_only,
              .precision = setting.precision}),
      type_(ActivationType(setting.precision)) {
  directions_.emplace_back(shape_, /*reverse=*/false);
  if (spec.bidirectional) directions_.emplace_back(shape_, /*reverse=*/true);
  const auto values = static_cast<size_t>(shape_.samples * shape_.steps * shape_.input_size);
  dx_at_ = AlignedBytes(values * BytesOf(type_));
  directions_at_ = dx_at_ + AlignedBytes(values * sizeof(float));
}

// Directions keep alike: only the reverse one may take fewer steps, and then still has room.
GpuBytes RecurrentGpu::bytes() const {
  GpuBytes bytes = {.kept = 0, .scratch = 0};
  for (const RecurrentDirectionGpu& direction : directions_) {
    bytes.kept += direction.bytes().kept;
    bytes.scratch = std::max(bytes.scratch, direction.bytes().scratch);
  }
  bytes.scratch += directions_at_;
  return bytes;
}

GpuDirectionPass RecurrentGpu::PassOf(size_t d, const GpuLane& lane,
                                      std::span<const GpuWeight> weights, std::byte* kept,
                                      std::byte* scratch) const {
  return {.lane = lane,
          .x = {scratch, type_},
          .weights = weights.subspan(d * kRecurrentTensors, kRecurrentTensors),
          .kept = kept + d * directions_[0].bytes().kept,
          .scratch = scratch + directions_at_};
}

template <typename Values>
GpuRecurrentOutput<Values> RecurrentGpu::OutputOf(const Values& values, size_t d) const {
  return {.values = values + static_cast<int64_t>(d) * shape_.size,
          .sample_stride = ElementsOf(output_dims()),
          .step_stride = shape_.last_only ? 0 : output_dims().back()};
}

Status RecurrentGpu::Forward(const GpuForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == directions_.size() * kRecurrentTensors);
  DROVER_RETURN_IF_ERROR(
      ToTimeMajorOnGpu(SequencesOf(shape_), pass.input, {pass.scratch, type_}, *pass.lane.stream));
  for (size_t d = 0; d < directions_.size(); ++d) {
    DROVER_RETURN_IF_ERROR(directions_[d].Forward(
        PassOf(d, pass.lane, pass.weights, pass.kept, pass.scratch), OutputOf(pass.output, d)));
  }
  return Status();
}

Status RecurrentGpu::Backward(const GpuBackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == directions_.size() * kRecurrentTensors &&
               pass.weight_gradients.size() == pass.weights.size());
  DROVER_RETURN_IF_ERROR(
      ToTimeMajorOnGpu(SequencesOf(shape_), pass.input, {pass.scratch, type_}, *pass.lane.stream));
  const bool to_input = pass.input_gradient.data != nullptr;
  float* const dx = to_input ? reinterpret_cast<float*>(pass.scratch + dx_at_) : nullptr;
  for (size_t d = 0; d < directions_.size(); ++d) {
    DROVER_RETURN_IF_ERROR(directions_[d].Backward(
        PassOf(d, pass.lane, pass.weights, pass.kept, pass.scratch),
        OutputOf(ConstGpuValues(pass.output_gradient), d),
        pass.weight_gradients.subspan(d * kRecurrentTensors, kRecurrentTensors),
        /*accumulate_dx=*/d > 0, dx));
  }
  if (!to_input) return Status();
  return FromTimeMajorOnGpu(SequencesOf(shape_), dx, pass.input_gradient, *pass.lane.stream);
}

}  // namespace drover
