#include "common/base/exact_math.h"
#include "worker/nn/bert_pretraining.h"
#include "worker/nn/float_exp.h"
#include "worker/nn/lane_sum.h"
#include "worker/nn/simd_cpu.h"

namespace drover {
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

}  // namespace drover
