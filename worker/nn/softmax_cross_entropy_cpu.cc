// Own exp in float32 for the reason of exact_math.h: libm's last bits differ from CPU to CPU.

#include <bit>
#include <cstdint>
#include <vector>

#include "common/base/exact_math.h"
#include "worker/nn/softmax_cross_entropy.h"

namespace drover {
namespace {

// exp(x) for x <= 0, at most 2 ulp off; 0 below -87, where the result nears the subnormals; NaN for
// NaN. x = n ln 2 + r with |r| <= ln 2 / 2; polynomial and split of ln 2: Cephes, expf.c (Moshier).
inline float ExpOfNonPositive(float x) {
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

}  // namespace

double SoftmaxCrossEntropySampleCpu(const float* logits, int64_t classes, int32_t label,
                                    bool* correct, float* logit_gradient) {
  int64_t largest = 0;
  for (int64_t j = 1; j < classes; ++j) {
    if (logits[j] > logits[largest]) largest = j;
  }
  *correct = largest == label;

  const float shift = logits[largest];
  double sum = 0.0;
  for (int64_t j = 0; j < classes; ++j) {
    const float e = ExpOfNonPositive(logits[j] - shift);
    if (logit_gradient != nullptr) logit_gradient[j] = e;
    sum += e;
  }
  if (logit_gradient != nullptr) {
    const float inverse = static_cast<float>(1.0 / sum);
    for (int64_t j = 0; j < classes; ++j) logit_gradient[j] *= inverse;
    logit_gradient[label] -= 1.0f;
  }
  return ExactLog(sum) - (static_cast<double>(logits[label]) - static_cast<double>(shift));
}

}  // namespace drover
