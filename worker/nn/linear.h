// Linear layer (dense, fully connected): y = x W^T + b over the last extent of the input. Not
// thread-safe; owned by one Model.
//
// R rows: the micro-batch times every extent but the last, I input_size, O output_size:
//   x [R, I]   W "<name>.weight" [O, I], as in PyTorch's nn.Linear   b "<name>.bias" [O]   y [R, O]
//   dW = dy^T x     db = sum of the rows of dy     dx = dy W

#ifndef DROVER_WORKER_NN_LINEAR_H_
#define DROVER_WORKER_NN_LINEAR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

struct LinearShape {
  int64_t rows;
  int64_t input_size;
  int64_t output_size;
  Precision precision = Precision::kF32;  // Of the products.
};

class Linear : public Layer {
 public:
  // The layer's checks are MakeLinear's.
  Linear(std::string name, const DenseSpec& spec, const Dims& input, const LayerSetting& setting);

  std::vector<TensorSpec> tensors() const override;
  const Dims& output_dims() const override { return output_; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const std::string name_;
  const DenseSpec spec_;
  const LinearShape shape_;
  Dims output_;
};

// kInvalidArgument when the size is not 1 to 2^20.
Result<std::unique_ptr<Layer>> MakeLinear(const std::string& name, const DenseSpec& spec,
                                          const Dims& input, const LayerSetting& setting);

// CPU (linear_cpu.cc, oneDNN). Pointers as in the legend above. kInternal when oneDNN refuses.
Status LinearForwardCpu(const LinearShape& shape, const float* x, const float* weight,
                        const float* bias, float* y);
// `accumulate`: adds to dweight and dbias instead of overwriting them. Sums rows in order.
Status LinearBackwardWeightsCpu(const LinearShape& shape, const float* x, const float* dy,
                                bool accumulate, float* dweight, float* dbias);
Status LinearBackwardDataCpu(const LinearShape& shape, const float* dy, const float* weight,
                             float* dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LINEAR_H_
