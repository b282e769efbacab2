// ReLU: y = max(x, 0). The derivative at 0 is 0, as in PyTorch. A NaN stays NaN, so that it reaches
// the gradient and is noticed. Not thread-safe; owned by one Model.

#ifndef DROVER_WORKER_NN_RELU_H_
#define DROVER_WORKER_NN_RELU_H_

#include <cstdint>
#include <memory>

#include "worker/nn/layer.h"

namespace drover {

class Relu : public Layer {
 public:
  Relu(const Dims& dims, int64_t micro_batch)
      : dims_(dims), elements_(micro_batch * ElementsOf(dims)) {}

  const Dims& output_dims() const override { return dims_; }
  Storage storage() const override { return Storage::kInPlace; }
  bool keeps_output() const override { return true; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const Dims dims_;
  const int64_t elements_;
};

Result<std::unique_ptr<Layer>> MakeRelu(const Dims& input, const LayerSetting& setting);

// CPU (relu_cpu.cc). input, output: [count]; may be the same.
void ReluForwardCpu(int64_t count, const float* input, float* output);
// output: [count], what forward wrote. input_gradient: [count], output_gradient where the output is
// above 0, else 0; may be the same.
void ReluBackwardCpu(int64_t count, const float* output, const float* output_gradient,
                     float* input_gradient);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RELU_H_
