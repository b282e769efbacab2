// Pairs with relu_gpu.h. Bytes per element: 2 accesses forward, 3 backward, of
// 4 (float32) or 2 (bfloat16) each.

#include "worker/nn/elementwise_gpu.cuh"
#include "worker/nn/float_relu.h"
#include "worker/nn/relu_gpu.h"

namespace drover {
namespace {

struct ReluForward {
  __device__ float operator()(float x) const { return ReluOf(x); }
};
struct ReluBackward {
  __device__ float operator()(float y, float dy) const { return ReluGradient(y, dy); }
};

}  // namespace

Status ReluForwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, GpuValues y) {
  return MapOnGpu("ReluForward", stream, count, x, y, ReluForward());
}

Status ReluBackwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues y, ConstGpuValues dy,
                       GpuValues dx) {
  return MapPairsOnGpu("ReluBackward", stream, count, y, dy, dx, ReluBackward());
}

}  // namespace drover
