// Residual block (residual.h) on a GPU. Dropout as the last of its layers is part of the block's
// own passes, which so read and write less. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_RESIDUAL_GPU_H_
#define DROVER_WORKER_NN_RESIDUAL_GPU_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "worker/nn/dropout_mask.h"
#include "worker/nn/gpu_chain.h"
#include "worker/nn/gpu_layer.h"

namespace drover {

class ResidualGpu : public GpuLayer {
 public:
  struct Dropout {
    DropoutMask mask;
    bool at_evaluation;
  };

  // The output of `inner` has the shape of its input. `dropout`: behind it.
  ResidualGpu(const Layer& same, std::unique_ptr<GpuChain> inner, std::optional<Dropout> dropout,
              const LayerSetting& setting);

  // Kept: the chain's. Scratch: the gradient of its output, which the chain may overwrite, and the
  // chain's.
  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const std::unique_ptr<GpuChain> inner_;
  const std::optional<Dropout> dropout_;
  const int64_t micro_batch_;
  const int64_t size_;  // Values of the block's output per sample.
  const size_t gradient_bytes_;
};

Result<std::unique_ptr<GpuLayer>> MakeResidualGpu(const Layer& same, const ResidualSpec& spec,
                                                  const Dims& input, const LayerSetting& setting);

// sum[i] = a[i] + b[i]; [count], of one type; sum may be a or b. Enqueues.
Status AddOnGpu(const GpuStream& stream, int64_t count, ConstGpuValues a, ConstGpuValues b,
                GpuValues sum);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RESIDUAL_GPU_H_
