// One time step of a recurrent cell between its matrix products, on a GPU: one kernel each way,
// which adds the biases and reads and writes the layer's arrays in the same pass. Also the order of
// sequences in memory. Functions only; they enqueue. Formulas: recurrent_formula.h.
//
// B samples of H units, G gates per unit. Arrays are device memory, dense and float32 unless their
// GpuValues says otherwise; [B, G H] are G blocks of H per sample in PyTorch's order.

#ifndef DROVER_WORKER_NN_RECURRENT_CELL_GPU_H_
#define DROVER_WORKER_NN_RECURRENT_CELL_GPU_H_

#include <cstddef>
#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_values.h"
#include "worker/nn/recurrent_direction.h"

namespace drover {

struct GpuCellForward {
  RecurrentSpec::Cell cell;
  int64_t samples;           // B.
  int64_t size;              // H.
  const float* input_bias;   // [G H]
  const float* hidden_bias;  // [G H]
  const float* hidden_sums;  // [B, G H] W_hh times h of the step before; null: h was 0.
  const float* previous;     // [B, H] of the step before: LSTM c, GRU h; null: 0.
  float* gates;              // [B, G H] W_ih x; becomes the gates' values. RNN: h.
  float* state;     // [B, H] for the step after and the way back: LSTM c, GRU h; null: nobody asks.
  float* hidden_n;  // [B, H] GRU: what the state before adds to gate n, bias included.
  GpuValues h;      // [B, H] the factor of the next product.
  GpuValues output;  // Of the h type: H values every output_stride; null: no output here.
  int64_t output_stride;
};
Status CellForwardOnGpu(const GpuCellForward& step, const GpuStream& stream);

// The gradients of the sums of a GRU are [B, 4 H]: n as the input sees it, r, z, n as the state
// before sees it. The last three are what W_hh is multiplied with, the first three W_ih.
constexpr int64_t CellGradients(RecurrentSpec::Cell cell) {
  return cell == RecurrentSpec::Cell::kLstm || cell == RecurrentSpec::Cell::kGru ? 4 : 1;
}
// Where those of W_hh begin, in blocks.
constexpr int64_t FirstHiddenGradient(RecurrentSpec::Cell cell) {
  return cell == RecurrentSpec::Cell::kGru ? 1 : 0;
}

struct GpuCellBackward {
  RecurrentSpec::Cell cell;
  int64_t samples;
  int64_t size;
  bool last;                       // No step after it: dh and dc are not read, as if they were 0.
  const float* gates;              // As left by Forward, all four.
  const float* previous;           // As in Forward.
  const float* state;              // LSTM.
  const float* hidden_n;           // GRU.
  ConstGpuValues output_gradient;  // Likewise; null: 0.
  int64_t output_stride;
  float* dh;  // [B, H] from the products of the step after. GRU: becomes what passes gate z.
  float* dc;  // [B, H] LSTM: from the step after; becomes that of c before.
  GpuValues gradients;  // [B, CellGradients H], written, of output_gradient's type.
};
Status CellBackwardOnGpu(const GpuCellBackward& step, const GpuStream& stream);

// sums: [CellGradients H], added up over all rows of the gradients.
Status StoreBiasGradientsOnGpu(RecurrentSpec::Cell cell, int64_t size, const float* sums,
                               const GradientSum& input_bias, const GradientSum& hidden_bias,
                               const GpuStream& stream);

// [samples, steps, features] to [steps, samples, features], of one type, and back from float32.
struct GpuSequences {
  int64_t samples;
  int64_t steps;
  int64_t features;
};
Status ToTimeMajorOnGpu(const GpuSequences& shape, ConstGpuValues x, GpuValues time_major,
                        const GpuStream& stream);
Status FromTimeMajorOnGpu(const GpuSequences& shape, const float* time_major, GpuValues x,
                          const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECURRENT_CELL_GPU_H_
