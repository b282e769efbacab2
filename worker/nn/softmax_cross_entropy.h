// The loss of classification. For logits z of one sample with label y:
//   p = softmax(z)   loss = -log p[y] = log(sum_j exp(z_j - max z)) - (z_y - max z)
//   d loss / d z = p - onehot(y)          (a sum over samples follows, never a mean)
// The answer is the largest logit, the first if several are equal. Immutable; any thread.

#ifndef DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_H_
#define DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_H_

#include <cstdint>
#include <memory>

#include "worker/nn/head.h"
#include "worker/nn/network_spec.h"

namespace drover {

class SoftmaxCrossEntropy : public Head {
 public:
  SoftmaxCrossEntropy(int64_t micro_batch, int64_t classes)
      : micro_batch_(micro_batch), classes_(classes) {}

  Status Check(const Batch& batch) const override;
  Result<BatchResult> Run(const HeadPass& pass) override;

 private:
  const int64_t micro_batch_;
  const int64_t classes_;
};

// kInvalidArgument when the input is not one row of `classes` logits, 2 to 2^20.
Result<std::unique_ptr<Head>> MakeSoftmaxCrossEntropy(const SoftmaxCrossEntropySpec& spec,
                                                      const Dims& input,
                                                      const LayerSetting& setting);

// CPU (softmax_cross_entropy_cpu.cc). The loss of one sample in nats; sets *correct to whether the
// first of the largest logits is the label's. logit_gradient: [classes], or null.
double SoftmaxCrossEntropySampleCpu(const float* logits, int64_t classes, int32_t label,
                                    bool* correct, float* logit_gradient);

}  // namespace drover

#endif  // DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_H_
