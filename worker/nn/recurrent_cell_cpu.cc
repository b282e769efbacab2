#include <algorithm>

#include "worker/nn/float_sigmoid.h"
#include "worker/nn/recurrent_cell.h"
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
  for (int64_t j = 0; j < count; ++j) gates[j] = dh[j] * (1.0f - gates[j] * gates[j]);
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
      i[j] = Sigmoid(i[j]);
      f[j] = Sigmoid(f[j]);
      g[j] = Tanh(g[j]);
      o[j] = Sigmoid(o[j]);
      const float state = f[j] * previous_c[row + j] + i[j] * g[j];
      const float shown = Tanh(state);
      c[row + j] = state;
      tanh_c[row + j] = shown;
      h[row + j] = o[j] * shown;
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
      const float shown = tanh_c[row + j];
      const float of_h = dh[row + j];
      const float of_c = dc[row + j] + of_h * o[j] * (1.0f - shown * shown);
      const float of_i = of_c * g[j] * i[j] * (1.0f - i[j]);
      const float of_f = of_c * previous_c[row + j] * f[j] * (1.0f - f[j]);
      const float of_g = of_c * i[j] * (1.0f - g[j] * g[j]);
      dc[row + j] = of_c * f[j];
      i[j] = of_i;
      f[j] = of_f;
      g[j] = of_g;
      o[j] = of_h * shown * o[j] * (1.0f - o[j]);
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
      r[j] = Sigmoid(r[j]);
      z[j] = Sigmoid(z[j]);
      n[j] = Tanh(n[j] + r[j] * hidden_n[row + j]);
      h[row + j] = (1.0f - z[j]) * n[j] + z[j] * previous_h[row + j];
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
      const float of_h = dh[row + j];
      const float of_n = of_h * (1.0f - z[j]) * (1.0f - n[j] * n[j]);
      const float of_z = of_h * (previous_h[row + j] - n[j]) * z[j] * (1.0f - z[j]);
      const float of_r = of_n * hidden_n[row + j] * r[j] * (1.0f - r[j]);
      dh[row + j] = of_h * z[j];
      hidden_n[row + j] = of_n * r[j];
      r[j] = of_r;
      z[j] = of_z;
      n[j] = of_n;
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
