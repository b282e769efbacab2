// SoftmaxCrossEntropy (softmax_cross_entropy.h) on a GPU. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_GPU_H_
#define DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_GPU_H_

#include "worker/nn/gpu_head.h"
#include "worker/nn/network_spec.h"

namespace drover {

class SoftmaxCrossEntropyGpu : public GpuHead {
 public:
  SoftmaxCrossEntropyGpu(const Head& same, const SoftmaxCrossEntropySpec& spec,
                         const LayerSetting& setting)
      : GpuHead(same), micro_batch_(setting.micro_batch), classes_(spec.classes) {}

  size_t scratch_bytes() const override;
  Status Run(const GpuHeadPass& pass) override;

 private:
  const int64_t micro_batch_;
  const int64_t classes_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_SOFTMAX_CROSS_ENTROPY_GPU_H_
