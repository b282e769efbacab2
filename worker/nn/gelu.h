// GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415): y = x Phi(x), Phi the normal distribution, by
// the error function and not by tanh: what PyTorch and BERT call "gelu". Not thread-safe; owned by
// one Model.
//   dy/dx = Phi(x) + x phi(x)     with phi(x) = exp(-x^2 / 2) / sqrt(2 pi)

#ifndef DROVER_WORKER_NN_GELU_H_
#define DROVER_WORKER_NN_GELU_H_

#include <cstdint>
#include <memory>

#include "worker/nn/layer.h"

namespace drover {

class Gelu : public Layer {
 public:
  Gelu(const Dims& dims, int64_t micro_batch)
      : dims_(dims), elements_(micro_batch * ElementsOf(dims)) {}

  const Dims& output_dims() const override { return dims_; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  const Dims dims_;
  const int64_t elements_;
};

Result<std::unique_ptr<Layer>> MakeGelu(const Dims& input, const LayerSetting& setting);

// CPU (gelu_cpu.cc). x, y, dx, dy: [count]; dx may be dy. Within 4e-7 (1 + |x|) of the formulas.
void GeluForwardCpu(int64_t count, const float* x, float* y);
void GeluBackwardCpu(int64_t count, const float* x, const float* dy, float* dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GELU_H_
