#include "worker/nn/softmax_cross_entropy.h"

#include <algorithm>

namespace drover {

BatchResult SoftmaxCrossEntropy::Compute(const float* logits, const int32_t* labels,
                                         int64_t samples, float* logit_gradient) const {
  BatchResult result;
  result.samples = samples;
  for (int64_t sample = 0; sample < samples; ++sample) {
    const int64_t row = sample * classes_;
    bool correct = false;
    result.loss_sum +=
        SoftmaxCrossEntropySampleCpu(logits + row, classes_, labels[sample], &correct,
                                     logit_gradient == nullptr ? nullptr : logit_gradient + row);
    if (correct) ++result.correct;
  }
  if (logit_gradient != nullptr) {
    std::fill(logit_gradient + samples * classes_, logit_gradient + micro_batch_ * classes_, 0.0f);
  }
  return result;
}

}  // namespace drover
