// The logistic function between layers; the values are those of float_sigmoid.h. Not
// thread-safe; owned by one Model.
//   y = 1 / (1 + exp(-x))     dy/dx = y (1 - y)

#ifndef DROVER_WORKER_NN_SIGMOID_H_
#define DROVER_WORKER_NN_SIGMOID_H_

#include <cstdint>
#include <memory>

#include "worker/nn/layer.h"

namespace drover {

class SigmoidLayer : public Layer {
 public:
  SigmoidLayer(const Dims& dims, int64_t micro_batch)
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

Result<std::unique_ptr<Layer>> MakeSigmoid(const Dims& input, const LayerSetting& setting);

// CPU (sigmoid_cpu.cc). x, y, dx, dy: [count]; y may be x, dx may be dy. y: what forward wrote.
void SigmoidForwardCpu(int64_t count, const float* x, float* y);
void SigmoidBackwardCpu(int64_t count, const float* y, const float* dy, float* dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_SIGMOID_H_
