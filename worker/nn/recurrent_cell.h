// One time step of a recurrent cell between its matrix products, on the CPU: gates to state, and
// back. B samples of H units; gates: [B, G * H], G blocks of H per sample in PyTorch's order; all
// other arrays [B, H]. Formulas: recurrent.h. Functions only; thread-safe.

#ifndef DROVER_WORKER_NN_RECURRENT_CELL_H_
#define DROVER_WORKER_NN_RECURRENT_CELL_H_

#include <cstdint>

namespace drover {

struct CellShape {
  int64_t samples;  // B.
  int64_t size;     // H.
};

// Forward turns the sums in `gates` into the gates' values, which backward turns into the gradients
// of the sums. `dh` is the gradient of h from everywhere.

// h = tanh(gates), G = 1.
void RnnForwardCpu(const CellShape& shape, float* gates, float* h);
void RnnBackwardCpu(const CellShape& shape, const float* dh, float* gates);

// G = 4. previous_c may be `c` of another step, never of this one.
void LstmForwardCpu(const CellShape& shape, const float* previous_c, float* gates, float* c,
                    float* tanh_c, float* h);
// dc: the gradient of c from the step after; becomes that of previous_c.
void LstmBackwardCpu(const CellShape& shape, const float* previous_c, const float* tanh_c,
                     const float* dh, float* gates, float* dc);

// G = 3. hidden_n: what the previous state adds to gate n, before gate r is applied to it.
void GruForwardCpu(const CellShape& shape, const float* previous_h, const float* hidden_n,
                   float* gates, float* h);
// hidden_n becomes its gradient; dh becomes the part of previous_h's gradient that passes gate z.
void GruBackwardCpu(const CellShape& shape, const float* previous_h, float* hidden_n, float* gates,
                    float* dh);

// sums[j] = the sum over rows of values[row * stride + j], row after row; values: [rows, stride],
// sums: [size].
void ColumnSumsCpu(int64_t rows, int64_t size, int64_t stride, const float* values, float* sums);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECURRENT_CELL_H_
