// Residual block: y = x + f(x), f a chain of layers (He et al. 2015, arXiv:1512.03385). Not
// thread-safe; owned by one Model.

#ifndef DROVER_WORKER_NN_RESIDUAL_H_
#define DROVER_WORKER_NN_RESIDUAL_H_

#include <memory>
#include <vector>

#include "worker/nn/chain.h"
#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

class Residual : public Layer {
 public:
  // The output of `inner` has the shape of its input.
  Residual(std::unique_ptr<Chain> inner, int64_t micro_batch);

  std::vector<TensorSpec> tensors() const override { return inner_->tensors(); }
  const Dims& output_dims() const override { return inner_->output_dims(); }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const std::unique_ptr<Chain> inner_;
  const int64_t elements_;             // Of the block's output, all samples.
  std::vector<float> inner_gradient_;  // [B, size], which the chain may overwrite.
};

// kInvalidArgument when the layers do not give back the shape of the input.
Result<std::unique_ptr<Layer>> MakeResidual(const ResidualSpec& spec, const Dims& input,
                                            const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RESIDUAL_H_
