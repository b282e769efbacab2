#include <cmath>

#include "common/base/exact_math.h"
#include "worker/nn/bert_pretraining.h"
#include "worker/nn/float_exp.h"
#include "worker/nn/lane_sum.h"
#include "worker/nn/simd_cpu.h"

namespace drover {
namespace {

// (1 - e) / (1 + e) with e = exp(-2 |x|); near 0, where that cancels, the polynomial of Cephes,
// tanhf.c (Moshier). NaN stays.
inline float Tanh(float x) {
  const float size = std::fabs(x);
  const float e = ExpOfNonPositive(-2.0f * size);
  const float far = (1.0f - e) / (1.0f + e);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  return size < 0.625f ? near : std::copysign(far, x);
}

}  // namespace

DROVER_SIMD
double MaskedTokenLossCpu(int64_t vocabulary, int32_t label, float scale, float* logits,
                          bool* correct) {
  const float largest = LaneMax(logits, vocabulary);
  const float asked = logits[label];
  *correct = asked == largest;
  for (int64_t j = 0; *correct && j < label; ++j) *correct = logits[j] != largest;

  double lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= vocabulary; i += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) {
      logits[i + lane] = ExpOfNonPositive(logits[i + lane] - largest);
      lanes[lane] += logits[i + lane];
    }
  }
  for (int64_t lane = 0; i < vocabulary; ++i, ++lane) {
    logits[i] = ExpOfNonPositive(logits[i] - largest);
    lanes[lane] += logits[i];
  }
  const double sum = AddLanes(lanes);
  const float factor = static_cast<float>(scale / sum);
  for (int64_t j = 0; j < vocabulary; ++j) logits[j] *= factor;
  logits[label] -= scale;
  return ExactLog(sum) - (static_cast<double>(asked) - static_cast<double>(largest));
}

DROVER_SIMD
void TanhForwardCpu(int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) values[i] = Tanh(values[i]);
}

DROVER_SIMD
void TanhBackwardCpu(int64_t count, const float* output, float* gradient) {
  for (int64_t i = 0; i < count; ++i) gradient[i] *= 1.0f - output[i] * output[i];
}

}  // namespace drover
