// Pairs with sigmoid_gpu.h. Bytes per element: 2 accesses forward, 3 backward, of
// 4 (float32) or 2 (bfloat16) each.

#include "worker/nn/elementwise_gpu.cuh"
#include "worker/nn/float_sigmoid.h"
#include "worker/nn/sigmoid_gpu.h"

namespace drover {
namespace {

struct SigmoidForward {
  __device__ float operator()(float x) const { return Sigmoid(x); }
};
struct SigmoidBackward {
  __device__ float operator()(float y, float dy) const { return dy * SigmoidSlope(y); }
};

}  // namespace

Status SigmoidForwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, GpuValues y) {
  return MapOnGpu("SigmoidForward", stream, count, x, y, SigmoidForward());
}

Status SigmoidBackwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues y,
                          ConstGpuValues dy, GpuValues dx) {
  return MapPairsOnGpu("SigmoidBackward", stream, count, y, dy, dx, SigmoidBackward());
}

}  // namespace drover
