// Pairs with tanh_gpu.h. Bytes per element: 2 accesses forward, 3 backward, of
// 4 (float32) or 2 (bfloat16) each.

#include "worker/nn/elementwise_gpu.cuh"
#include "worker/nn/float_sigmoid.h"
#include "worker/nn/tanh_gpu.h"

namespace drover {
namespace {

struct TanhForward {
  __device__ float operator()(float x) const { return Tanh(x); }
};
struct TanhBackward {
  __device__ float operator()(float y, float dy) const { return dy * TanhSlope(y); }
};

}  // namespace

Status TanhForwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, GpuValues y) {
  return MapOnGpu("TanhForward", stream, count, x, y, TanhForward());
}

Status TanhBackwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues y, ConstGpuValues dy,
                       GpuValues dx) {
  return MapPairsOnGpu("TanhBackward", stream, count, y, dy, dx, TanhBackward());
}

}  // namespace drover
