// The loss of classification and where its gradient begins. For logits z of one sample with label
// y:
//   p = softmax(z)   loss = -log p[y] = log(sum_j exp(z_j - max z)) - (z_y - max z)
//   d loss / d z = p - onehot(y)          (a sum over samples follows, never a mean)
// Not a Layer: it has labels and ends the chain. Immutable; any thread.

#ifndef DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_H_
#define DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_H_

#include <cstdint>

#include "worker/nn/model.h"

namespace drover {

class SoftmaxCrossEntropy {
 public:
  SoftmaxCrossEntropy(int64_t micro_batch, int64_t classes)
      : micro_batch_(micro_batch), classes_(classes) {}

  // logits: [micro_batch, classes]. labels: [samples], in [0, classes). logit_gradient:
  // [micro_batch, classes], written, 0 in the rows from `samples` on; null: not wanted.
  BatchResult Compute(const float* logits, const int32_t* labels, int64_t samples,
                      float* logit_gradient) const;

 private:
  const int64_t micro_batch_;
  const int64_t classes_;
};

// CPU (softmax_cross_entropy_cpu.cc). The loss of one sample in nats; sets *correct to whether the
// first of the largest logits is the label's. logit_gradient: [classes], or null.
double SoftmaxCrossEntropySampleCpu(const float* logits, int64_t classes, int32_t label,
                                    bool* correct, float* logit_gradient);

}  // namespace drover

#endif  // DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_H_
