// A recurrent layer in one direction on a GPU, as RecurrentDirection (recurrent_direction.h): the
// products of all inputs at once, then per time step one product with W_hh and one kernel. Owns no
// memory; not thread-safe.
//
// T steps of B samples, F features, H units, G gates; [T, B, ...] are dense and time-major, so that
// each step is a matrix and all steps are one.

#ifndef DROVER_WORKER_NN_RECURRENT_DIRECTION_GPU_H_
#define DROVER_WORKER_NN_RECURRENT_DIRECTION_GPU_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "worker/nn/gpu_layer.h"
#include "worker/nn/recurrent_cell_gpu.h"
#include "worker/nn/recurrent_direction.h"

namespace drover {

// The H values of sample b at time t begin at values + b * sample_stride + t * step_stride.
template <typename Values>
struct GpuRecurrentOutput {
  Values values;
  int64_t sample_stride;
  int64_t step_stride;
};

struct GpuDirectionPass {
  GpuLane lane;
  ConstGpuValues x;                    // [T, B, F]
  std::span<const GpuWeight> weights;  // kRecurrentTensors of them.
  std::byte* kept;
  std::byte* scratch;
};

class RecurrentDirectionGpu {
 public:
  RecurrentDirectionGpu(const RecurrentShape& shape, bool reverse);

  GpuBytes bytes() const { return bytes_; }
  // Writes every step of `output`, or of a last_only layer the one with T - 1.
  Status Forward(const GpuDirectionPass& pass, const GpuRecurrentOutput<GpuValues>& output) const;
  // dx: [T, B, F] float32, null: nobody needs it. `accumulate_dx`: adds to what is there; otherwise
  // writes the times that this direction takes, which are all of a forward one.
  Status Backward(const GpuDirectionPass& pass,
                  const GpuRecurrentOutput<ConstGpuValues>& output_gradient,
                  std::span<const GradientSum> weight_gradients, bool accumulate_dx,
                  float* dx) const;

 private:
  // Where arrays begin. Kept: gates [T, B, G H] float32; h [T, B, H]; state [T, B, H] float32, as
  // of GpuCellForward, and for a GRU in float32 the same as h; hidden_n likewise.
  struct Kept {
    size_t gates, h, state, hidden_n;
  };
  // Scratch: sums [B, G H] of a step, forward only. The rest backward: gradients [T, B,
  // CellGradients H], dh and dc [B, H] float32, bias sums, and what adding them up needs.
  struct Scratch {
    size_t gradients, dh, dc, bias_sums, column_sums;
  };

  // The n-th step in this direction is at this time.
  int64_t TimeOf(int64_t n) const { return reverse_ ? shape_.steps - 1 - n : n; }
  bool is_gru() const { return shape_.cell == RecurrentSpec::Cell::kGru; }
  bool keeps_state() const;
  bool Shows(int64_t time) const { return !shape_.last_only || time == shape_.steps - 1; }
  // Of [T, B, per_unit H] arrays: values of one step.
  int64_t StepValues(int64_t per_unit) const { return shape_.samples * shape_.size * per_unit; }

  float* GatesAt(const GpuDirectionPass& pass, int64_t time) const;
  float* StateAt(const GpuDirectionPass& pass, int64_t time) const;  // Null for an RNN.
  float* HiddenNAt(const GpuDirectionPass& pass, int64_t time) const;
  GpuValues HAt(const GpuDirectionPass& pass, int64_t time) const;
  GpuValues GradientsAt(const GpuDirectionPass& pass, int64_t time) const;
  ConstGpuValues InputAt(const GpuDirectionPass& pass, int64_t time) const;

  Status StepForward(const GpuDirectionPass& pass, const GpuRecurrentOutput<GpuValues>& output,
                     int64_t n) const;
  Status StepBackward(const GpuDirectionPass& pass,
                      const GpuRecurrentOutput<ConstGpuValues>& output_gradient, int64_t n) const;
  Status InputWeightGradient(const GpuDirectionPass& pass, const GradientSum& sum) const;
  Status HiddenWeightGradient(const GpuDirectionPass& pass, const GradientSum& sum) const;
  Status BiasGradients(const GpuDirectionPass& pass, const GradientSum& input_bias,
                       const GradientSum& hidden_bias) const;
  Status InputGradient(const GpuDirectionPass& pass, bool accumulate, float* dx) const;

  const RecurrentShape shape_;
  const bool reverse_;
  const ValueType type_;
  const int64_t count_;         // Steps that are taken.
  const int64_t first_time_;    // The earliest of their times; they are consecutive.
  const int64_t gate_row_;      // G * H.
  const int64_t gradient_row_;  // CellGradients * H.
  Kept kept_ = {};
  Scratch scratch_ = {};
  GpuBytes bytes_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECURRENT_DIRECTION_GPU_H_
