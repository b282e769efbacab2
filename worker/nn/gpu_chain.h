// Layers one after the other on a GPU: plans where their activations lie and leads both passes
// through them. As Chain (chain.h), but that it owns no memory. Not thread-safe; owned by one
// GpuModel, or by a layer that is made of layers.

#ifndef DROVER_WORKER_NN_GPU_CHAIN_H_
#define DROVER_WORKER_NN_GPU_CHAIN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "worker/nn/gpu_layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

class GpuChain {
 public:
  // As Chain::Make, but for the limit of activations: bytes() says what they need. `recompute`: a
  // residual layer and those behind it, up to the next one, become a RecomputedGpu.
  static Result<std::unique_ptr<GpuChain>> Make(const std::vector<LayerSpec>& layers,
                                                const Dims& input, const LayerSetting& setting,
                                                bool recompute = false);
  ~GpuChain();
  GpuChain(const GpuChain&) = delete;
  GpuChain& operator=(const GpuChain&) = delete;

  // Of all layers, in order; tensors that layers share stand here once for each of them.
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  const Dims& output_dims() const { return output_dims_; }
  // Kept: activations and what layers keep. Scratch: two gradients, and that of the neediest layer.
  GpuBytes bytes() const { return bytes_; }

  // As of a layer, but that pass.output is not used: the result is in output() until the next call.
  Status Forward(const GpuForwardPass& pass);
  ConstGpuValues output() const { return output_; }  // [B, output size]

  // As of a layer; pass.output is not used. `on_written`, unless empty, is called for each tensor,
  // last layer first, with its index in tensors(), when what adds to it is enqueued.
  Status Backward(const GpuBackwardPass& pass, const std::function<Status(size_t)>& on_written);

 private:
  struct Stage;  // A layer, its tensors, and what it wrote.

  GpuChain(std::vector<Stage> stages, const Dims& input, const LayerSetting& setting);
  Status BackwardStage(const GpuBackwardPass& pass, size_t stage, GpuValues output_gradient,
                       GpuValues input_gradient);

  const int64_t micro_batch_;
  const ValueType type_;
  std::vector<Stage> stages_;
  std::vector<TensorSpec> tensors_;
  Dims output_dims_;
  size_t first_trained_ = 0;   // The first stage with tensors; stages_.size() if none.
  size_t gradient_bytes_ = 0;  // Of each of the two, which take turns.
  GpuBytes bytes_;
  ConstGpuValues output_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_CHAIN_H_
