// Linear layer (dense, fully connected): y = x W^T + b. Not thread-safe; owned by one Model.
//
// B micro-batch, I input_size, O output_size:
//   x [B, I]   W "<name>/weight" [O, I], as in PyTorch's nn.Linear   b "<name>/bias" [O]   y [B, O]
//   dW = dy^T x     db = sum of the rows of dy     dx = dy W

#ifndef DROVER_WORKER_NN_LINEAR_H_
#define DROVER_WORKER_NN_LINEAR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "worker/nn/layer.h"

namespace drover {

struct LinearShape {
  int64_t micro_batch;
  int64_t input_size;
  int64_t output_size;
};

class Linear : public Layer {
 public:
  // Weights begin uniform in [-bound, bound) with bound = sqrt(3 * gain_squared / input_size),
  // biases at zero. gain_squared is 2 in front of a ReLU and 1 in front of the loss: He et al.
  // 2015, arXiv:1502.01852, eq. 10; torch.nn.init.kaiming_uniform_ has the same numbers.
  Linear(std::string name, const LinearShape& shape, double gain_squared);

  std::vector<TensorSpec> tensors() const override;
  int64_t output_size() const override { return shape_.output_size; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const std::string name_;
  const LinearShape shape_;
  const double gain_squared_;
};

// CPU (linear_cpu.cc, oneDNN). Pointers as in the legend above. kInternal when oneDNN refuses.
Status LinearForwardCpu(const LinearShape& shape, const float* x, const float* weight,
                        const float* bias, float* y);
Status LinearBackwardWeightsCpu(const LinearShape& shape, const float* x, const float* dy,
                                bool accumulate, float* dweight, float* dbias);
Status LinearBackwardDataCpu(const LinearShape& shape, const float* dy, const float* weight,
                             float* dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LINEAR_H_
