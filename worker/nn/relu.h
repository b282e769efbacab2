// ReLU: y = max(x, 0), in place. The derivative at 0 is 0, as in PyTorch. A NaN stays NaN, so that
// it reaches the gradient and is noticed. Not thread-safe; owned by one Model.

#ifndef DROVER_WORKER_NN_RELU_H_
#define DROVER_WORKER_NN_RELU_H_

#include <cstdint>
#include <vector>

#include "worker/nn/layer.h"

namespace drover {

class Relu : public Layer {
 public:
  Relu(int64_t micro_batch, int64_t size) : micro_batch_(micro_batch), size_(size) {}

  std::vector<TensorSpec> tensors() const override { return {}; }
  int64_t output_size() const override { return size_; }
  bool in_place() const override { return true; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const int64_t micro_batch_;
  const int64_t size_;
};

// CPU (relu_cpu.cc). values: [count], replaced by their ReLU.
void ReluForwardCpu(int64_t count, float* values);
// output: [count], what forward wrote. gradient: [count], set to 0 where output is 0.
void ReluBackwardCpu(int64_t count, const float* output, float* gradient);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RELU_H_
