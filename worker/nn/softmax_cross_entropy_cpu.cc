#include "common/base/exact_math.h"
#include "worker/nn/class_labels.h"
#include "worker/nn/float_exp.h"
#include "worker/nn/simd_cpu.h"
#include "worker/nn/softmax_cross_entropy.h"

namespace drover {

DROVER_SIMD
double SoftmaxCrossEntropySampleCpu(const float* logits, int64_t classes, int32_t label,
                                    bool* correct, float* logit_gradient) {
  const int64_t largest = IndexOfLargest(logits, classes);
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
