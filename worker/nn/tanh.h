// The hyperbolic tangent between layers; the values are those of float_sigmoid.h. Not
// thread-safe; owned by one Model.
//   y = tanh(x)     dy/dx = 1 - y^2

#ifndef DROVER_WORKER_NN_TANH_H_
#define DROVER_WORKER_NN_TANH_H_

#include <cstdint>
#include <memory>

#include "worker/nn/layer.h"

namespace drover {

class TanhLayer : public Layer {
 public:
  TanhLayer(const Dims& dims, int64_t micro_batch)
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

Result<std::unique_ptr<Layer>> MakeTanh(const Dims& input, const LayerSetting& setting);

// CPU (tanh_cpu.cc). x, y, dx, dy: [count]; y may be x, dx may be dy. y: what forward wrote.
void TanhForwardCpu(int64_t count, const float* x, float* y);
void TanhBackwardCpu(int64_t count, const float* y, const float* dy, float* dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_TANH_H_
