// GELU of gelu.h in float32 from operations that IEEE 754 rounds exactly, as float_exp.h has exp.
// Inline and free of branches, so that loops over it are vectorised. Pure.
//
// Phi(-|x|) = erfc(|x| / sqrt(2)) / 2 = exp(-x^2 / 2) P(t) / 2 with t = 1 / (1 + p |x| / sqrt(2)):
// Abramowitz and Stegun 1964, 7.1.26, absolute error of erfc below 1.5e-7. The derivative needs the
// same exp.

#ifndef DROVER_WORKER_NN_FLOAT_GELU_H_
#define DROVER_WORKER_NN_FLOAT_GELU_H_

#include <cmath>

#include "common/base/host_device.h"
#include "worker/nn/float_exp.h"

namespace drover {

// exp(-x^2 / 2). x is cut where the result is 0 anyway, so that infinity gives 0.
DROVER_HOST_DEVICE inline float GeluBell(float x) {
  const float cut = std::fabs(x) > 20.0f ? 20.0f : x;
  return ExpOfNonPositive(-0.5f * cut * cut);
}

// Phi(x), given bell = exp(-x^2 / 2).
DROVER_HOST_DEVICE inline float NormalDistribution(float x, float bell) {
  const float t = 1.0f / (1.0f + 0.3275911f * 0.70710678118654752f * std::fabs(x));
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * bell * (p * t);
  return x < 0.0f ? tail : 1.0f - tail;
}

// x Phi(x).
DROVER_HOST_DEVICE inline float GeluOf(float x) {
  const float value = x * NormalDistribution(x, GeluBell(x));
  return x < -20.0f ? 0.0f : value;  // Minus infinity times 0.
}

// Phi(x) + x phi(x).
DROVER_HOST_DEVICE inline float GeluSlope(float x) {
  constexpr float kInverseRootOfTwoPi = 0.39894228040143268f;
  const float bell = GeluBell(x);
  const float cut = std::fabs(x) > 20.0f ? 0.0f : x;  // Infinity times 0.
  return NormalDistribution(x, bell) + cut * bell * kInverseRootOfTwoPi;
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_FLOAT_GELU_H_
