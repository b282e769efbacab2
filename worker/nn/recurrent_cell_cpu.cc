#include <algorithm>

#include "worker/nn/recurrent_cell.h"
#include "worker/nn/recurrent_formula.h"
#include "worker/nn/simd_cpu.h"

// The arrays of a call never overlap, but for what recurrent_cell.h says is both in and out, at the
// same index: loops may be vectorised.
#define DROVER_INDEPENDENT _Pragma("GCC ivdep")

namespace drover {

DROVER_SIMD
void RnnForwardCpu(const CellShape& shape, float* gates, float* h) {
  const int64_t count = shape.samples * shape.size;
  DROVER_INDEPENDENT
  for (int64_t j = 0; j < count; ++j) {
    gates[j] = Tanh(gates[j]);
    h[j] = gates[j];
  }
}

DROVER_SIMD
void RnnBackwardCpu(const CellShape& shape, const float* dh, float* gates) {
  const int64_t count = shape.samples * shape.size;
  DROVER_INDEPENDENT
  for (int64_t j = 0; j < count; ++j) gates[j] = RnnGradient(gates[j], dh[j]);
}

DROVER_SIMD
void LstmForwardCpu(const CellShape& shape, const float* previous_c, float* gates, float* c,
                    float* tanh_c, float* h) {
  const int64_t size = shape.size;
  for (int64_t sample = 0; sample < shape.samples; ++sample) {
    float* const i = gates + sample * 4 * size;
    float* const f = i + size;
    float* const g = f + size;
    float* const o = g + size;
    const int64_t row = sample * size;
    DROVER_INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      const LstmState state = LstmStep({i[j], f[j], g[j], o[j]}, previous_c[row + j]);
      i[j] = state.gates.i;
      f[j] = state.gates.f;
      g[j] = state.gates.g;
      o[j] = state.gates.o;
      c[row + j] = state.c;
      tanh_c[row + j] = state.tanh_c;
      h[row + j] = state.h;
    }
  }
}

DROVER_SIMD
void LstmBackwardCpu(const CellShape& shape, const float* previous_c, const float* tanh_c,
                     const float* dh, float* gates, float* dc) {
  const int64_t size = shape.size;
  for (int64_t sample = 0; sample < shape.samples; ++sample) {
    float* const i = gates + sample * 4 * size;
    float* const f = i + size;
    float* const g = f + size;
    float* const o = g + size;
    const int64_t row = sample * size;
    DROVER_INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      const LstmGradient gradient = LstmStepGradient({i[j], f[j], g[j], o[j]}, previous_c[row + j],
                                                     tanh_c[row + j], dh[row + j], dc[row + j]);
      dc[row + j] = gradient.previous_c;
      i[j] = gradient.sums.i;
      f[j] = gradient.sums.f;
      g[j] = gradient.sums.g;
      o[j] = gradient.sums.o;
    }
  }
}

DROVER_SIMD
void GruForwardCpu(const CellShape& shape, const float* previous_h, const float* hidden_n,
                   float* gates, float* h) {
  const int64_t size = shape.size;
  for (int64_t sample = 0; sample < shape.samples; ++sample) {
    float* const r = gates + sample * 3 * size;
    float* const z = r + size;
    float* const n = z + size;
    const int64_t row = sample * size;
    DROVER_INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      const GruState state = GruStep({r[j], z[j], n[j]}, hidden_n[row + j], previous_h[row + j]);
      r[j] = state.gates.r;
      z[j] = state.gates.z;
      n[j] = state.gates.n;
      h[row + j] = state.h;
    }
  }
}

DROVER_SIMD
void GruBackwardCpu(const CellShape& shape, const float* previous_h, float* hidden_n, float* gates,
                    float* dh) {
  const int64_t size = shape.size;
  for (int64_t sample = 0; sample < shape.samples; ++sample) {
    float* const r = gates + sample * 3 * size;
    float* const z = r + size;
    float* const n = z + size;
    const int64_t row = sample * size;
    DROVER_INDEPENDENT
    for (int64_t j = 0; j < size; ++j) {
      const GruGradient gradient =
          GruStepGradient({r[j], z[j], n[j]}, hidden_n[row + j], previous_h[row + j], dh[row + j]);
      dh[row + j] = gradient.previous_h;
      hidden_n[row + j] = gradient.hidden_n;
      r[j] = gradient.sums.r;
      z[j] = gradient.sums.z;
      n[j] = gradient.sums.n;
    }
  }
}

DROVER_SIMD
void ColumnSumsCpu(int64_t rows, int64_t size, int64_t stride, const float* values, float* sums) {
  std::fill(sums, sums + size, 0.0f);
  for (int64_t row = 0; row < rows; ++row) {
    const float* const from = values + row * stride;
    DROVER_INDEPENDENT
    for (int64_t j = 0; j < size; ++j) sums[j] += from[j];
  }
}

}  // namespace drover
