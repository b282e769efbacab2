#include "worker/nn/recurrent_direction_gpu.h"

#include "worker/nn/column_sums_gpu.h"

namespace drover {
namespace {

// Takes `bytes` off the end of a plan.
size_t Place(size_t bytes, size_t* end) {
  const size_t at = *end;
  *end += AlignedBytes(bytes);
  return at;
}

}  // namespace

RecurrentDirectionGpu::RecurrentDirectionGpu(const RecurrentShape& shape, bool reverse)
    : shape_(shape),
      reverse_(reverse),
      type_(ActivationType(shape.precision)),
      count_(reverse && shape.last_only ? 1 : shape.steps),
      first_time_(shape.steps - count_),
      gate_row_(shape.gates() * shape.size),
      gradient_row_(CellGradients(shape.cell) * shape.size) {
  const auto step = static_cast<size_t>(StepValues(1));
  const size_t states = step * static_cast<size_t>(shape.steps);
  kept_.gates = Place(states * static_cast<size_t>(shape.gates()) * sizeof(float), &bytes_.kept);
  kept_.h = Place(states * BytesOf(type_), &bytes_.kept);
  kept_.state = keeps_state() ? Place(states * sizeof(float), &bytes_.kept) : kept_.h;
  if (is_gru()) kept_.hidden_n = Place(states * sizeof(float), &bytes_.kept);

  const int64_t rows = count_ * shape.samples;
  scratch_.gradients =
      Place(static_cast<size_t>(rows * gradient_row_) * BytesOf(type_), &bytes_.scratch);
  scratch_.dh = Place(step * sizeof(float), &bytes_.scratch);
  scratch_.dc = Place(step * sizeof(float), &bytes_.scratch);
  scratch_.bias_sums = Place(static_cast<size_t>(gradient_row_) * sizeof(float), &bytes_.scratch);
  scratch_.column_sums = Place(ColumnSumsScratchBytes(rows, gradient_row_), &bytes_.scratch);
  const size_t sums = static_cast<size_t>(StepValues(shape.gates())) * sizeof(float);
  if (bytes_.scratch < sums) bytes_.scratch = AlignedBytes(sums);
}

bool RecurrentDirectionGpu::keeps_state() const {
  return shape_.cell == RecurrentSpec::Cell::kLstm || (is_gru() && type_ != ValueType::kF32);
}

float* RecurrentDirectionGpu::GatesAt(const GpuDirectionPass& pass, int64_t time) const {
  return reinterpret_cast<float*>(pass.kept + kept_.gates) + time * shape_.samples * gate_row_;
}

float* RecurrentDirectionGpu::StateAt(const GpuDirectionPass& pass, int64_t time) const {
  if (shape_.cell == RecurrentSpec::Cell::kRnn) return nullptr;
  return reinterpret_cast<float*>(pass.kept + kept_.state) + time * StepValues(1);
}

float* RecurrentDirectionGpu::HiddenNAt(const GpuDirectionPass& pass, int64_t time) const {
  if (!is_gru()) return nullptr;
  return reinterpret_cast<float*>(pass.kept + kept_.hidden_n) + time * StepValues(1);
}

GpuValues RecurrentDirectionGpu::HAt(const GpuDirectionPass& pass, int64_t time) const {
  return GpuValues{pass.kept + kept_.h, type_} + time * StepValues(1);
}

GpuValues RecurrentDirectionGpu::GradientsAt(const GpuDirectionPass& pass, int64_t time) const {
  return GpuValues{pass.scratch + scratch_.gradients, type_} +
         (time - first_time_) * shape_.samples * gradient_row_;
}

ConstGpuValues RecurrentDirectionGpu::InputAt(const GpuDirectionPass& pass, int64_t time) const {
  return pass.x + time * shape_.samples * shape_.input_size;
}

Status RecurrentDirectionGpu::Forward(const GpuDirectionPass& pass,
                                      const GpuRecurrentOutput<GpuValues>& output) const {
  DROVER_RETURN_IF_ERROR(pass.lane.products->Multiply(
      {.m = count_ * shape_.samples,
       .n = gate_row_,
       .k = shape_.input_size,
       .a = {InputAt(pass, first_time_), shape_.input_size},
       .b = {pass.weights[kInputWeight].As(type_), shape_.input_size, /*transposed=*/true},
       .c = {{GatesAt(pass, first_time_), ValueType::kF32}, gate_row_}},
      *pass.lane.stream));
  for (int64_t n = 0; n < count_; ++n) {
    DROVER_RETURN_IF_ERROR(StepForward(pass, output, n));
  }
  return Status();
}

Status RecurrentDirectionGpu::StepForward(const GpuDirectionPass& pass,
                                          const GpuRecurrentOutput<GpuValues>& output,
                                          int64_t n) const {
  const int64_t time = TimeOf(n);
  float* const sums = reinterpret_cast<float*>(pass.scratch);
  if (n > 0) {
    DROVER_RETURN_IF_ERROR(pass.lane.products->Multiply(
        {.m = shape_.samples,
         .n = gate_row_,
         .k = shape_.size,
         .a = {HAt(pass, TimeOf(n - 1)), shape_.size},
         .b = {pass.weights[kHiddenWeight].As(type_), shape_.size, /*transposed=*/true},
         .c = {{sums, ValueType::kF32}, gate_row_}},
        *pass.lane.stream));
  }
  GpuCellForward step = {.cell = shape_.cell,
                         .samples = shape_.samples,
                         .size = shape_.size,
                         .input_bias = pass.weights[kInputBias].values,
                         .hidden_bias = pass.weights[kHiddenBias].values,
                         .hidden_sums = n > 0 ? sums : nullptr,
                         .previous = n > 0 ? StateAt(pass, TimeOf(n - 1)) : nullptr,
                         .gates = GatesAt(pass, time),
                         .state = keeps_state() ? StateAt(pass, time) : nullptr,
                         .hidden_n = HiddenNAt(pass, time),
                         .h = HAt(pass, time),
                         .output = {nullptr, type_},
                         .output_stride = output.sample_stride};
  if (Shows(time)) step.output = output.values + time * output.step_stride;
  return CellForwardOnGpu(step, *pass.lane.stream);
}

Status RecurrentDirectionGpu::Backward(const GpuDirectionPass& pass,
                                       const GpuRecurrentOutput<ConstGpuValues>& output_gradient,
                                       std::span<const GradientSum> weight_gradients,
                                       bool accumulate_dx, float* dx) const {
  for (int64_t n = count_; n-- > 0;) {
    DROVER_RETURN_IF_ERROR(StepBackward(pass, output_gradient, n));
  }
  DROVER_RETURN_IF_ERROR(InputWeightGradient(pass, weight_gradients[kInputWeight]));
  DROVER_RETURN_IF_ERROR(HiddenWeightGradient(pass, weight_gradients[kHiddenWeight]));
  DROVER_RETURN_IF_ERROR(
      BiasGradients(pass, weight_gradients[kInputBias], weight_gradients[kHiddenBias]));
  return dx == nullptr ? Status() : InputGradient(pass, accumulate_dx, dx);
}

// dh and dc go from the gradients of step n's state to those of the state before it.
Status RecurrentDirectionGpu::StepBackward(
    const GpuDirectionPass& pass, const GpuRecurrentOutput<ConstGpuValues>& output_gradient,
    int64_t n) const {
  const int64_t time = TimeOf(n);
  float* const dh = reinterpret_cast<float*>(pass.scratch + scratch_.dh);
  GpuCellBackward step = {.cell = shape_.cell,
                          .samples = shape_.samples,
                          .size = shape_.size,
                          .last = n == count_ - 1,
                          .gates = GatesAt(pass, time),
                          .previous = n > 0 ? StateAt(pass, TimeOf(n - 1)) : nullptr,
                          .state = StateAt(pass, time),
                          .hidden_n = HiddenNAt(pass, time),
                          .output_gradient = {nullptr, type_},
                          .output_stride = output_gradient.sample_stride,
                          .dh = dh,
                          .dc = reinterpret_cast<float*>(pass.scratch + scratch_.dc),
                          .gradients = GradientsAt(pass, time)};
  if (Shows(time)) {
    step.output_gradient = output_gradient.values + time * output_gradient.step_stride;
  }
  DROVER_RETURN_IF_ERROR(CellBackwardOnGpu(step, *pass.lane.stream));
  if (n == 0) return Status();
  return pass.lane.products->Multiply(
      {.m = shape_.samples,
       .n = shape_.size,
       .k = gate_row_,
       .a = {step.gradients + FirstHiddenGradient(shape_.cell) * shape_.size, gradient_row_},
       .b = {pass.weights[kHiddenWeight].As(type_), shape_.size},
       .c = {{dh, ValueType::kF32}, shape_.size},
       .accumulate = is_gru()},
      *pass.lane.stream);
}

// The rows of r and z, then those of n, of which the input has another gradient; others at once.
Status RecurrentDirectionGpu::InputWeightGradient(const GpuDirectionPass& pass,
                                                  const GradientSum& sum) const {
  const int64_t hidden = FirstHiddenGradient(shape_.cell) * shape_.size;
  const int64_t alike = gradient_row_ - 2 * hidden;
  GpuProduct product = {.m = alike,
                        .n = shape_.input_size,
                        .k = count_ * shape_.samples,
                        .a = {GradientsAt(pass, first_time_) + hidden, gradient_row_,
                              /*transposed=*/true},
                        .b = {InputAt(pass, first_time_), shape_.input_size},
                        .c = {{sum.values, ValueType::kF32}, shape_.input_size},
                        .accumulate = sum.accumulate};
  DROVER_RETURN_IF_ERROR(pass.lane.products->Multiply(product, *pass.lane.stream));
  if (!is_gru()) return Status();
  product.m = shape_.size;
  product.a.values = GradientsAt(pass, first_time_);
  product.c.values = product.c.values + alike * shape_.input_size;
  return pass.lane.products->Multiply(product, *pass.lane.stream);
}

// Every step but the first has a state before it.
Status RecurrentDirectionGpu::HiddenWeightGradient(const GpuDirectionPass& pass,
                                                   const GradientSum& sum) const {
  if (count_ == 1) {
    if (sum.accumulate) return Status();
    return ZeroBytes(*pass.lane.stream, sum.values,
                     static_cast<size_t>(gate_row_ * shape_.size) * sizeof(float));
  }
  const int64_t time = reverse_ ? first_time_ : first_time_ + 1;
  return pass.lane.products->Multiply(
      {.m = gate_row_,
       .n = shape_.size,
       .k = (count_ - 1) * shape_.samples,
       .a = {GradientsAt(pass, time) + FirstHiddenGradient(shape_.cell) * shape_.size,
             gradient_row_, /*transposed=*/true},
       .b = {HAt(pass, reverse_ ? time + 1 : time - 1), shape_.size},
       .c = {{sum.values, ValueType::kF32}, shape_.size},
       .accumulate = sum.accumulate},
      *pass.lane.stream);
}

Status RecurrentDirectionGpu::BiasGradients(const GpuDirectionPass& pass,
                                            const GradientSum& input_bias,
                                            const GradientSum& hidden_bias) const {
  float* const sums = reinterpret_cast<float*>(pass.scratch + scratch_.bias_sums);
  DROVER_RETURN_IF_ERROR(ColumnSumsOnGpu(
      count_ * shape_.samples, gradient_row_, GradientsAt(pass, first_time_),
      {sums, /*accumulate=*/false}, reinterpret_cast<float*>(pass.scratch + scratch_.column_sums),
      *pass.lane.stream));
  return StoreBiasGradientsOnGpu(shape_.cell, shape_.size, sums, input_bias, hidden_bias,
                                 *pass.lane.stream);
}

Status RecurrentDirectionGpu::InputGradient(const GpuDirectionPass& pass, bool accumulate,
                                            float* dx) const {
  const int64_t hidden = FirstHiddenGradient(shape_.cell) * shape_.size;
  const int64_t alike = gradient_row_ - 2 * hidden;
  const ConstGpuValues weight = pass.weights[kInputWeight].As(type_);
  GpuProduct product = {
      .m = count_ * shape_.samples,
      .n = shape_.input_size,
      .k = alike,
      .a = {GradientsAt(pass, first_time_) + hidden, gradient_row_},
      .b = {weight, shape_.input_size},
      .c = {{dx + first_time_ * shape_.samples * shape_.input_size, ValueType::kF32},
            shape_.input_size},
      .accumulate = accumulate};
  DROVER_RETURN_IF_ERROR(pass.lane.products->Multiply(product, *pass.lane.stream));
  if (!is_gru()) return Status();
  product.k = shape_.size;
  product.a.values = GradientsAt(pass, first_time_);
  product.b.values = weight + alike * shape_.input_size;
  product.accumulate = true;
  return pass.lane.products->Multiply(product, *pass.lane.stream);
}

}  // namespace drover
