// exp in float32 from operations that IEEE 754 rounds exactly, for the reason of exact_math.h: the
// last bits of libm's differ from CPU to CPU. Inline, so that loops over it are vectorised. Pure.

#ifndef DROVER_WORKER_NN_FLOAT_EXP_H_
#define DROVER_WORKER_NN_FLOAT_EXP_H_

#include <bit>
#include <cstdint>

#include "common/base/host_device.h"

namespace drover {

// exp(x) for x <= 0, at most 2 ulp off; 0 below -87, where the result nears the subnormals; NaN for
// NaN. x = n ln 2 + r with |r| <= ln 2 / 2; polynomial and split of ln 2: Cephes, expf.c (Moshier).
DROVER_HOST_DEVICE inline float ExpOfNonPositive(float x) {
  constexpr float kRound = 0x1.8p23f;  // Adding it leaves the nearest integer in the low bits.
  const float shifted = x * 1.44269504088896341f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const float power_of_two = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) + 127u) << 23);
  const float value = p * power_of_two;
  return x < -87.0f ? 0.0f : value;
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_FLOAT_EXP_H_
