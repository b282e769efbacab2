// A layer on a GPU that computes each value by itself, from functions that enqueue it. Not
// thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_ELEMENTWISE_GPU_H_
#define DROVER_WORKER_NN_ELEMENTWISE_GPU_H_

#include <cstdint>

#include "worker/nn/gpu_layer.h"

namespace drover {

// Arrays: [count], of one type. They are values of float32 to the function that maps them, which
// rounds its result only if they are bfloat16.
// y = f(x); y may be x.
using ElementwiseForwardGpu = Status (*)(const GpuStream& stream, int64_t count, ConstGpuValues x,
                                         GpuValues y);
// dx = dy f'; f' is a function of y if the layer keeps its output, else of x. dx may be dy.
using ElementwiseBackwardGpu = Status (*)(const GpuStream& stream, int64_t count,
                                          ConstGpuValues x_or_y, ConstGpuValues dy, GpuValues dx);

class ElementwiseGpu : public GpuLayer {
 public:
  ElementwiseGpu(const Layer& same, const Dims& input, const LayerSetting& setting,
                 ElementwiseForwardGpu forward, ElementwiseBackwardGpu backward);

  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  const int64_t elements_;
  const ElementwiseForwardGpu forward_;
  const ElementwiseBackwardGpu backward_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_ELEMENTWISE_GPU_H_
