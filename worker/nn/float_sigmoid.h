// The logistic function and tanh in float32 from operations that IEEE 754 rounds exactly, as
// float_exp.h has exp. Inline and free of branches, so that loops over them are vectorised. Pure.

#ifndef DROVER_WORKER_NN_FLOAT_SIGMOID_H_
#define DROVER_WORKER_NN_FLOAT_SIGMOID_H_

#include <cmath>

#include "common/base/host_device.h"
#include "worker/nn/float_exp.h"

namespace drover {

// 1 / (1 + exp(-x)), at most 3 ulp off; 0 below -87, where the result nears the subnormals; NaN for
// NaN. Its derivative is s (1 - s) with s = Sigmoid(x).
DROVER_HOST_DEVICE inline float Sigmoid(float x) {
  const float e = ExpOfNonPositive(-std::fabs(x));
  const float numerator = x < 0.0f ? e : 1.0f;  // exp(x) / (1 + exp(x)) has no cancellation there.
  return numerator / (1.0f + e);
}

// dy/dx where y = Sigmoid(x).
DROVER_HOST_DEVICE inline float SigmoidSlope(float y) { return y * (1.0f - y); }

// At most 2 ulp off; odd, -0 for -0; NaN for NaN. Its derivative is 1 - t^2 with t = Tanh(x). The
// polynomial for small x: Cephes, tanhf.c (Moshier).
DROVER_HOST_DEVICE inline float Tanh(float x) {
  const float size = std::fabs(x);
  const float e = ExpOfNonPositive(-2.0f * size);
  const float large = 1.0f - 2.0f * e / (1.0f + e);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * size + size;
  return std::copysign(size < 0.625f ? small : large, x);
}

// dy/dx where y = Tanh(x).
DROVER_HOST_DEVICE inline float TanhSlope(float y) { return 1.0f - y * y; }

}  // namespace drover

#endif  // DROVER_WORKER_NN_FLOAT_SIGMOID_H_
