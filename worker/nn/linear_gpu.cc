#include "worker/nn/linear_gpu.h"

#include "common/base/check.h"
#include "worker/nn/column_sums_gpu.h"

namespace drover {

LinearGpu::LinearGpu(const Layer& same, const DenseSpec& spec, const Dims& input,
                     const LayerSetting& setting)
    : GpuLayer(same),
      shape_({.rows = setting.micro_batch * ElementsOf(input) / input.back(),
              .input_size = input.back(),
              .output_size = spec.size,
              .precision = setting.precision}) {}

GpuBytes LinearGpu::bytes() const { return {.kept = 0, .scratch = LinearScratchBytesGpu(shape_)}; }

Status LinearGpu::Forward(const GpuForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2);
  return LinearForwardGpu(pass.lane, shape_, pass.input, pass.weights[0], pass.weights[1],
                          pass.output);
}

Status LinearGpu::Backward(const GpuBackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 && pass.weight_gradients.size() == 2);
  DROVER_RETURN_IF_ERROR(LinearBackwardWeightsGpu(pass.lane, shape_, pass.input,
                                                  pass.output_gradient, pass.weight_gradients[0],
                                                  pass.weight_gradients[1], pass.scratch));
  if (pass.input_gradient.data == nullptr) return Status();
  return LinearBackwardDataGpu(pass.lane, shape_, pass.output_gradient, pass.weights[0],
                               pass.input_gradient);
}

Status LinearForwardGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues x,
                        const GpuWeight& weight, const GpuWeight& bias, GpuValues y) {
  const ValueType type = ActivationType(shape.precision);
  return lane.products->Multiply({.m = shape.rows,
                                  .n = shape.output_size,
                                  .k = shape.input_size,
                                  .a = {x, shape.input_size},
                                  .b = {weight.As(type), shape.input_size, /*transposed=*/true},
                                  .c = {y, shape.output_size},
                                  .bias = bias.As(type)},
                                 *lane.stream);
}

Status LinearBackwardWeightsGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues x,
                                ConstGpuValues dy, const GradientSum& dweight,
                                const GradientSum& dbias, std::byte* scratch) {
  return LinearBackwardWeightsGpu(lane, shape, x, ConstGpuMatrix{dy, shape.output_size}, dweight,
                                  dbias, scratch);
}

Status LinearBackwardWeightsGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues x,
                                const ConstGpuMatrix& dy, const GradientSum& dweight,
                                const GradientSum& dbias, std::byte* scratch) {
  DROVER_RETURN_IF_ERROR(ColumnSumsOnGpu(shape.rows, shape.output_size, dy, dbias,
                                         reinterpret_cast<float*>(scratch), *lane.stream));
  return lane.products->Multiply({.m = shape.output_size,
                                  .n = shape.input_size,
                                  .k = shape.rows,
                                  .a = {dy.values, dy.stride, /*transposed=*/true},
                                  .b = {x, shape.input_size},
                                  .c = {{dweight.values, ValueType::kF32}, shape.input_size},
                                  .accumulate = dweight.accumulate},
                                 *lane.stream);
}

Status LinearBackwardDataGpu(const GpuLane& lane, const LinearShape& shape, ConstGpuValues dy,
                             const GpuWeight& weight, GpuValues dx) {
  return lane.products->Multiply(
      {.m = shape.rows,
       .n = shape.input_size,
       .k = shape.output_size,
       .a = {dy, shape.output_size},
       .b = {weight.As(ActivationType(shape.precision)), shape.input_size},
       .c = {dx, shape.input_size}},
      *lane.stream);
}

size_t LinearScratchBytesGpu(const LinearShape& shape) {
  return ColumnSumsScratchBytes(shape.rows, shape.output_size);
}

}  // namespace drover
