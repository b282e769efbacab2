// Phi(-|x|) = erfc(|x| / sqrt(2)) / 2 = exp(-x^2 / 2) P(t) / 2 with t = 1 / (1 + p |x| / sqrt(2)):
// Abramowitz and Stegun 1964, 7.1.26, absolute error of erfc below 1.5e-7. The derivative needs the
// same exp.

#include <cmath>

#include "worker/nn/float_exp.h"
#include "worker/nn/gelu.h"
#include "worker/nn/simd_cpu.h"

namespace drover {
namespace {

// exp(-x^2 / 2). x is cut where the result is 0 anyway, so that infinity gives 0.
inline float Bell(float x) {
  const float cut = std::fabs(x) > 20.0f ? 20.0f : x;
  return ExpOfNonPositive(-0.5f * cut * cut);
}

// Phi(x), given bell = exp(-x^2 / 2).
inline float NormalDistribution(float x, float bell) {
  const float t = 1.0f / (1.0f + 0.3275911f * 0.70710678118654752f * std::fabs(x));
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * bell * (p * t);
  return x < 0.0f ? tail : 1.0f - tail;
}

}  // namespace

DROVER_SIMD
void GeluForwardCpu(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = x[i] * NormalDistribution(x[i], Bell(x[i]));
    y[i] = x[i] < -20.0f ? 0.0f : value;  // Minus infinity times 0.
  }
}

DROVER_SIMD
void GeluBackwardCpu(int64_t count, const float* x, const float* dy, float* dx) {
  constexpr float kInverseRootOfTwoPi = 0.39894228040143268f;
  for (int64_t i = 0; i < count; ++i) {
    const float bell = Bell(x[i]);
    const float cut = std::fabs(x[i]) > 20.0f ? 0.0f : x[i];  // Infinity times 0.
    dx[i] = dy[i] * (NormalDistribution(x[i], bell) + cut * bell * kInverseRootOfTwoPi);
  }
}

}  // namespace drover
