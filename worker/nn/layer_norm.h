// Layer normalisation (Ba et al. 2016, arXiv:1607.06450) over the last extent of the input. Not
// thread-safe; owned by one Model.
//
// For each row x of N values, with the mean and the biased variance of the row:
//   z = (x - mean) / sqrt(variance + epsilon)     y = z * weight + bias
//   "<name>.weight" [N], 1 at first     "<name>.bias" [N], 0 at first
//   dweight = sum of dy * z     dbias = sum of dy     (over the rows)
//   dx = (a - mean(a) - z * mean(a * z)) / sqrt(variance + epsilon)     with a = dy * weight

#ifndef DROVER_WORKER_NN_LAYER_NORM_H_
#define DROVER_WORKER_NN_LAYER_NORM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

struct LayerNormShape {
  int64_t rows;  // The micro-batch times every extent but the last.
  int64_t size;  // N.
};

class LayerNorm : public Layer {
 public:
  // The layer's checks are MakeLayerNorm's.
  LayerNorm(std::string name, const LayerNormSpec& spec, const Dims& input,
            const LayerSetting& setting);

  std::vector<TensorSpec> tensors() const override;
  const Dims& output_dims() const override { return dims_; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const std::string name_;
  const double epsilon_;
  const Dims dims_;
  const LayerNormShape shape_;
  std::vector<float> means_;       // [rows], of the last Forward.
  std::vector<float> deviations_;  // [rows], 1 / sqrt(variance + epsilon).
};

// kInvalidArgument when epsilon is not in (0, 1].
Result<std::unique_ptr<Layer>> MakeLayerNorm(const std::string& name, const LayerNormSpec& spec,
                                             const Dims& input, const LayerSetting& setting);

// CPU (layer_norm_cpu.cc). x, y, dx, dy: [rows, size]; weight, bias and their gradients: [size];
// means and inverse_deviations: [rows]. Mean and variance are summed in double.
void LayerNormForwardCpu(const LayerNormShape& shape, double epsilon, const float* x,
                         const float* weight, const float* bias, float* means,
                         float* inverse_deviations, float* y);
// Adds the rows in order to what dweight and dbias hold.
void LayerNormBackwardWeightsCpu(const LayerNormShape& shape, const float* x, const float* means,
                                 const float* inverse_deviations, const float* dy, float* dweight,
                                 float* dbias);
void LayerNormBackwardDataCpu(const LayerNormShape& shape, const float* x, const float* weight,
                              const float* means, const float* inverse_deviations, const float* dy,
                              float* dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LAYER_NORM_H_
