// Pairs with gelu_gpu.h. Bytes per element: 2 accesses forward, 3 backward, of
// 4 (float32) or 2 (bfloat16) each.

#include "worker/nn/elementwise_gpu.cuh"
#include "worker/nn/float_gelu.h"
#include "worker/nn/gelu_gpu.h"

namespace drover {
namespace {

struct GeluForward {
  __device__ float operator()(float x) const { return GeluOf(x); }
};
struct GeluBackward {
  __device__ float operator()(float x, float dy) const { return dy * GeluSlope(x); }
};

}  // namespace

Status GeluForwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, GpuValues y) {
  return MapOnGpu("GeluForward", stream, count, x, y, GeluForward());
}

Status GeluBackwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, ConstGpuValues dy,
                       GpuValues dx) {
  return MapPairsOnGpu("GeluBackward", stream, count, x, dy, dx, GeluBackward());
}

}  // namespace drover
