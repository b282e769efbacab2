// Residual block (residual.h) on a GPU. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_RESIDUAL_GPU_H_
#define DROVER_WORKER_NN_RESIDUAL_GPU_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "worker/nn/gpu_chain.h"
#include "worker/nn/gpu_layer.h"

namespace drover {

class ResidualGpu : public GpuLayer {
 public:
  // The output of `inner` has the shape of its input.
  ResidualGpu(const Layer& same, std::unique_ptr<GpuChain> inner, const LayerSetting& setting);

  // Kept: the chain's. Scratch: a copy of the output's gradient, which the chain may overwrite, and
  // the chain's.
  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const std::unique_ptr<GpuChain> inner_;
  const int64_t elements_;  // Of the block's output, all samples.
  const size_t gradient_bytes_;
};

Result<std::unique_ptr<GpuLayer>> MakeResidualGpu(const Layer& same, const ResidualSpec& spec,
                                                  const Dims& input, const LayerSetting& setting);

// sum[i] = a[i] + b[i]; [count], of one type; sum may be a or b. Enqueues.
Status AddOnGpu(const GpuStream& stream, int64_t count, ConstGpuValues a, ConstGpuValues b,
                GpuValues sum);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RESIDUAL_GPU_H_
