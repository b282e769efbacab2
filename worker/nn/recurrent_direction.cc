#include "worker/nn/recurrent_direction.h"

#include <algorithm>

#include "worker/nn/gemm.h"
#include "worker/nn/recurrent_cell.h"

namespace drover {
namespace {

using Cell = RecurrentSpec::Cell;

// Every row of [rows, stride] begins as a + b; either may be null.
void FillRows(int64_t rows, int64_t size, int64_t stride, const float* a, const float* b,
              float* values) {
  for (int64_t row = 0; row < rows; ++row) {
    float* const to = values + row * stride;
    for (int64_t j = 0; j < size; ++j) to[j] = b == nullptr ? a[j] : a[j] + b[j];
  }
}

void Store(const float* values, int64_t count, bool accumulate, float* to) {
  for (int64_t j = 0; j < count; ++j) to[j] = accumulate ? to[j] + values[j] : values[j];
}

}  // namespace

int64_t RecurrentShape::gates() const {
  return cell == Cell::kRnn ? 1 : cell == Cell::kGru ? 3 : 4;
}

RecurrentDirection::RecurrentDirection(const RecurrentShape& shape, bool reverse)
    : shape_(shape),
      reverse_(reverse),
      count_(reverse && shape.last_only ? 1 : shape.steps),
      first_time_(shape.steps - count_),
      gate_row_(shape.gates() * shape.size),
      summed_(is_gru() ? 2 * shape.size : gate_row_) {
  const size_t state = static_cast<size_t>(shape.samples * shape.size);
  const size_t states = state * static_cast<size_t>(shape.steps);
  gates_.resize(states * static_cast<size_t>(shape.gates()));
  h_.resize(states);
  if (shape.cell == Cell::kLstm) {
    c_.resize(states);
    tanh_c_.resize(states);
    dc_.resize(state);
  }
  if (is_gru()) hidden_n_.resize(states);
  zeros_.resize(state);
  dh_.resize(state);
  bias_sums_.resize(static_cast<size_t>(gate_row_));
}

// All steps at once: the gates begin as the products with x and the biases.
Status RecurrentDirection::ProjectInput(const float* x, std::span<const float* const> weights) {
  const float* const input_bias = weights[kInputBias];
  const float* const hidden_bias = weights[kHiddenBias];
  const int64_t rows = count_ * shape_.samples;
  float* const gates = GatesAt(first_time_);
  FillRows(rows, summed_, gate_row_, input_bias, hidden_bias, gates);
  if (is_gru()) {
    FillRows(rows, shape_.size, gate_row_, input_bias + summed_, nullptr, gates + summed_);
    FillRows(rows, shape_.size, shape_.size, hidden_bias + summed_, nullptr,
             StateAt(hidden_n_, first_time_));
  }
  return Gemm({rows, gate_row_, shape_.input_size, shape_.precision}, 1.0f,
              {x + first_time_ * shape_.samples * shape_.input_size, shape_.input_size},
              {weights[kInputWeight], shape_.input_size, /*transposed=*/true}, 1.0f,
              {gates, gate_row_});
}

Status RecurrentDirection::StepForward(int64_t n, std::span<const float* const> weights) {
  const int64_t time = TimeOf(n);
  const int64_t size = shape_.size;
  const CellShape cell = {shape_.samples, size};
  float* const gates = GatesAt(time);
  const float* const previous = StateBefore(h_, n);
  if (n > 0) {
    DROVER_RETURN_IF_ERROR(
        Gemm({shape_.samples, summed_, size, shape_.precision}, 1.0f, {previous, size},
             {weights[kHiddenWeight], size, /*transposed=*/true}, 1.0f, {gates, gate_row_}));
    if (is_gru()) {
      DROVER_RETURN_IF_ERROR(
          Gemm({shape_.samples, size, size, shape_.precision}, 1.0f, {previous, size},
               {weights[kHiddenWeight] + summed_ * size, size, /*transposed=*/true}, 1.0f,
               {StateAt(hidden_n_, time), size}));
    }
  }
  switch (shape_.cell) {
    case Cell::kRnn:
      RnnForwardCpu(cell, gates, StateAt(h_, time));
      break;
    case Cell::kGru:
      GruForwardCpu(cell, previous, StateAt(hidden_n_, time), gates, StateAt(h_, time));
      break;
    case Cell::kLstm:
      LstmForwardCpu(cell, StateBefore(c_, n), gates, StateAt(c_, time), StateAt(tanh_c_, time),
                     StateAt(h_, time));
      break;
  }
  return Status();
}

Status RecurrentDirection::Forward(const float* x, std::span<const float* const> weights,
                                   const RecurrentOutput<float>& output) {
  DROVER_RETURN_IF_ERROR(ProjectInput(x, weights));
  for (int64_t n = 0; n < count_; ++n) {
    DROVER_RETURN_IF_ERROR(StepForward(n, weights));
    const int64_t time = TimeOf(n);
    if (shape_.last_only && time != shape_.steps - 1) continue;
    const float* const h = StateAt(h_, time);
    float* const to = output.values + time * output.step_stride;
    for (int64_t sample = 0; sample < shape_.samples; ++sample) {
      std::copy_n(h + sample * shape_.size, shape_.size, to + sample * output.sample_stride);
    }
  }
  return Status();
}

// dh_ and dc_ go from the gradients of step n's state to those of the state before it.
Status RecurrentDirection::StepBackward(int64_t n, std::span<const float* const> weights) {
  const int64_t time = TimeOf(n);
  const int64_t size = shape_.size;
  const CellShape cell = {shape_.samples, size};
  float* const gates = GatesAt(time);
  switch (shape_.cell) {
    case Cell::kRnn:
      RnnBackwardCpu(cell, dh_.data(), gates);
      break;
    case Cell::kGru:
      GruBackwardCpu(cell, StateBefore(h_, n), StateAt(hidden_n_, time), gates, dh_.data());
      break;
    case Cell::kLstm:
      LstmBackwardCpu(cell, StateBefore(c_, n), StateAt(tanh_c_, time), dh_.data(), gates,
                      dc_.data());
      break;
  }
  if (n == 0) return Status();
  DROVER_RETURN_IF_ERROR(Gemm({shape_.samples, size, summed_, shape_.precision}, 1.0f,
                              {gates, gate_row_}, {weights[kHiddenWeight], size},
                              is_gru() ? 1.0f : 0.0f, {dh_.data(), size}));
  if (!is_gru()) return Status();
  return Gemm({shape_.samples, size, size, shape_.precision}, 1.0f,
              {StateAt(hidden_n_, time), size}, {weights[kHiddenWeight] + summed_ * size, size},
              1.0f, {dh_.data(), size});
}

// Every step but the first has a state before it.
Status RecurrentDirection::HiddenWeightGradient(const GradientSum& sum) {
  const int64_t size = shape_.size;
  if (count_ == 1) {
    if (!sum.accumulate) std::fill_n(sum.values, gate_row_ * size, 0.0f);
    return Status();
  }
  const int64_t rows = (count_ - 1) * shape_.samples;
  const int64_t time = reverse_ ? first_time_ : first_time_ + 1;
  const ConstMatrix states = {StateAt(h_, reverse_ ? time + 1 : time - 1), size};
  const float beta = sum.accumulate ? 1.0f : 0.0f;
  DROVER_RETURN_IF_ERROR(Gemm({summed_, size, rows, shape_.precision}, 1.0f,
                              {GatesAt(time), gate_row_, /*transposed=*/true}, states, beta,
                              {sum.values, size}));
  if (!is_gru()) return Status();
  return Gemm({size, size, rows, shape_.precision}, 1.0f,
              {StateAt(hidden_n_, time), size, /*transposed=*/true}, states, beta,
              {sum.values + summed_ * size, size});
}

void RecurrentDirection::BiasGradients(const GradientSum& input_bias,
                                       const GradientSum& hidden_bias) {
  const int64_t rows = count_ * shape_.samples;
  ColumnSumsCpu(rows, gate_row_, gate_row_, GatesAt(first_time_), bias_sums_.data());
  Store(bias_sums_.data(), gate_row_, input_bias.accumulate, input_bias.values);
  if (is_gru()) {
    ColumnSumsCpu(rows, shape_.size, shape_.size, StateAt(hidden_n_, first_time_),
                  bias_sums_.data() + summed_);
  }
  Store(bias_sums_.data(), gate_row_, hidden_bias.accumulate, hidden_bias.values);
}

Status RecurrentDirection::Backward(const float* x, std::span<const float* const> weights,
                                    const RecurrentOutput<const float>& output_gradient,
                                    std::span<const GradientSum> weight_gradients, float* dx) {
  std::ranges::fill(dh_, 0.0f);
  std::ranges::fill(dc_, 0.0f);
  for (int64_t n = count_; n-- > 0;) {
    const int64_t time = TimeOf(n);
    if (!shape_.last_only || time == shape_.steps - 1) {
      const float* const from = output_gradient.values + time * output_gradient.step_stride;
      for (int64_t sample = 0; sample < shape_.samples; ++sample) {
        Store(from + sample * output_gradient.sample_stride, shape_.size, /*accumulate=*/true,
              dh_.data() + sample * shape_.size);
      }
    }
    DROVER_RETURN_IF_ERROR(StepBackward(n, weights));
  }
  const int64_t rows = count_ * shape_.samples;
  const int64_t first_input = first_time_ * shape_.samples * shape_.input_size;
  const GradientSum& input_weight = weight_gradients[kInputWeight];
  DROVER_RETURN_IF_ERROR(Gemm(
      {gate_row_, shape_.input_size, rows, shape_.precision}, 1.0f,
      {GatesAt(first_time_), gate_row_, /*transposed=*/true}, {x + first_input, shape_.input_size},
      input_weight.accumulate ? 1.0f : 0.0f, {input_weight.values, shape_.input_size}));
  DROVER_RETURN_IF_ERROR(HiddenWeightGradient(weight_gradients[kHiddenWeight]));
  BiasGradients(weight_gradients[kInputBias], weight_gradients[kHiddenBias]);
  if (dx == nullptr) return Status();
  return Gemm({rows, shape_.input_size, gate_row_, shape_.precision}, 1.0f,
              {GatesAt(first_time_), gate_row_}, {weights[kInputWeight], shape_.input_size}, 1.0f,
              {dx + first_input, shape_.input_size});
}

}  // namespace drover
