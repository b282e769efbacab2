// Layers on a GPU of which only the input is kept from the forward to the backward pass, which
// computes everything between them again (Chen et al. 2016, arXiv:1604.06174). The same kernels see
// the same numbers a second time, dropout's included, so no bit depends on it. It costs one more
// forward pass and a copy of the output, and saves all that the layers keep but for one block's
// worth, which all blocks of a model share. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_RECOMPUTED_GPU_H_
#define DROVER_WORKER_NN_RECOMPUTED_GPU_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "worker/nn/gpu_chain.h"
#include "worker/nn/gpu_layer.h"

namespace drover {

class RecomputedGpu : public GpuLayer {
 public:
  RecomputedGpu(std::unique_ptr<GpuChain> inner, const LayerSetting& setting);

  // Kept: nothing. Scratch: what the chain keeps, then its scratch.
  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const std::unique_ptr<GpuChain> inner_;
  const size_t output_bytes_;
};

// Errors as of GpuChain::Make, which names the first of `layers` instead of a layer of its own.
Result<std::unique_ptr<GpuLayer>> MakeRecomputedGpu(const std::vector<LayerSpec>& layers,
                                                    const Dims& input, const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECOMPUTED_GPU_H_
