// Layers one after the other: owns their activations and leads both passes through them. Not
// thread-safe; owned by one Model, or by a layer that is made of layers.

#ifndef DROVER_WORKER_NN_CHAIN_H_
#define DROVER_WORKER_NN_CHAIN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

class Chain {
 public:
  // kInvalidArgument names the layer, by number and name, that does not fit what it is given, or
  // says that the activations of a micro-batch exceed 2^32 values.
  static Result<std::unique_ptr<Chain>> Make(const std::vector<LayerSpec>& layers,
                                             const Dims& input, const LayerSetting& setting);
  ~Chain();
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  // Of all layers, in order; tensors that layers share stand here once for each of them.
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  const Dims& output_dims() const { return output_dims_; }

  // As of a layer, but that pass.output is not used: the result is in output() until the next call.
  Status Forward(const ForwardPass& pass);
  const float* output() const { return output_; }  // [B, output size]

  // As of a layer; pass.output is not used. `on_written`, unless empty, is called for each tensor,
  // last layer first, with its index in tensors(), when this pass has added what it had to.
  Status Backward(const BackwardPass& pass, const std::function<void(size_t)>& on_written);

 private:
  struct Stage;  // A layer, its tensors, and what it wrote.

  Chain(std::vector<Stage> stages, const Dims& input, const LayerSetting& setting);
  Status BackwardStage(const BackwardPass& pass, size_t stage, float* output_gradient,
                       float* input_gradient);

  const int64_t micro_batch_;
  std::vector<Stage> stages_;
  std::vector<TensorSpec> tensors_;
  Dims output_dims_;
  size_t first_trained_ = 0;         // The first stage with tensors; stages_.size() if none.
  std::vector<float> gradients_[2];  // [B, widest] each: they take turns.
  const float* output_ = nullptr;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_CHAIN_H_
