// A recurrent layer in one direction: T time steps of a cell over B samples, and the way back
// through time. Sequences here are time-major, [T, B, ...], so that every step is one dense matrix.
// Not thread-safe; owned by one Recurrent layer.

#ifndef DROVER_WORKER_NN_RECURRENT_DIRECTION_H_
#define DROVER_WORKER_NN_RECURRENT_DIRECTION_H_

#include <cstdint>
#include <span>
#include <vector>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

struct RecurrentShape {
  RecurrentSpec::Cell cell;
  int64_t samples;     // B.
  int64_t steps;       // T.
  int64_t input_size;  // F.
  int64_t size;        // H.
  bool last_only;
  Precision precision = Precision::kF32;

  int64_t gates() const;  // G: 1, 3 or 4.
};

// A direction's tensors, in this order. In PyTorch's shapes: [G H, F], [G H, H], [G H], [G H].
enum RecurrentTensor : size_t {
  kInputWeight,
  kHiddenWeight,
  kInputBias,
  kHiddenBias,
  kRecurrentTensors
};

// Where the outputs of a direction, or their gradients, are in an array of a layer: the H values of
// sample b at time t begin at values + b * sample_stride + t * step_stride.
template <typename T>
struct RecurrentOutput {
  T* values;
  int64_t sample_stride;
  int64_t step_stride;
};

class RecurrentDirection {
 public:
  RecurrentDirection(const RecurrentShape& shape, bool reverse);

  // x: [T, B, F]. Writes every step of `output`, or of a last_only layer the one with T - 1.
  Status Forward(const float* x, std::span<const float* const> weights,
                 const RecurrentOutput<float>& output);
  // x as in Forward. dx: [T, B, F], to which the gradient is added; null: nobody needs it.
  Status Backward(const float* x, std::span<const float* const> weights,
                  const RecurrentOutput<const float>& output_gradient,
                  std::span<const GradientSum> weight_gradients, float* dx);

 private:
  // The n-th step in this direction is at this time.
  int64_t TimeOf(int64_t n) const { return reverse_ ? shape_.steps - 1 - n : n; }
  float* GatesAt(int64_t time) { return gates_.data() + time * gate_row_ * shape_.samples; }
  float* StateAt(std::vector<float>& states, int64_t time) {
    return states.data() + time * shape_.size * shape_.samples;
  }
  // The state before step n: zeros before the first.
  float* StateBefore(std::vector<float>& states, int64_t n) {
    return n == 0 ? zeros_.data() : StateAt(states, TimeOf(n - 1));
  }

  Status ProjectInput(const float* x, std::span<const float* const> weights);
  Status StepForward(int64_t n, std::span<const float* const> weights);
  Status StepBackward(int64_t n, std::span<const float* const> weights);
  Status HiddenWeightGradient(const GradientSum& sum);
  void BiasGradients(const GradientSum& input_bias, const GradientSum& hidden_bias);
  bool is_gru() const { return shape_.cell == RecurrentSpec::Cell::kGru; }

  const RecurrentShape shape_;
  const bool reverse_;
  const int64_t count_;       // Steps that are taken.
  const int64_t first_time_;  // The earliest of their times; they are consecutive.
  const int64_t gate_row_;    // G * H.
  const int64_t summed_;      // Of gate_row_: to these the products of x and h are added alike.

  std::vector<float> gates_;      // [T, B, G * H]: sums, then values, then gradients of the sums.
  std::vector<float> h_;          // [T, B, H]
  std::vector<float> c_;          // [T, B, H], LSTM.
  std::vector<float> tanh_c_;     // [T, B, H], LSTM.
  std::vector<float> hidden_n_;   // [T, B, H], GRU.
  std::vector<float> zeros_;      // [B, H]
  std::vector<float> dh_, dc_;    // [B, H]
  std::vector<float> bias_sums_;  // [G * H]
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECURRENT_DIRECTION_H_
