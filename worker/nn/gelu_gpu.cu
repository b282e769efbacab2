// Pairs with gelu_gpu.h. Bytes per element: 2 accesses forward, 3 backward, of 4 (float32) or 2
// (bfloat16) each. In bfloat16 the memory of an H100 delivers more elements than the formulas of
// float_gelu.h, about 60 instructions each, could take: there the same formulas have 25, with the
// rounding of what they compute in between left to the GPU.

#include <math.h>

#include "worker/nn/elementwise_gpu.cuh"
#include "worker/nn/fast_float.cuh"
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

// As GeluBell and NormalDistribution. exp(-x^2 / 2) = 2^(-x^2 / 2 log2(e)).
__device__ __forceinline__ float FastBell(float x) {
  return FastExp2(-0.72134752044448170f * x * x);
}
__device__ __forceinline__ float FastNormalDistribution(float x, float bell) {
  const float t = FastReciprocal(fmaf(0.3275911f * 0.70710678118654752f, fabsf(x), 1.0f));
  float p = 1.061405429f;
  p = fmaf(p, t, -1.453152027f);
  p = fmaf(p, t, 1.421413741f);
  p = fmaf(p, t, -0.284496736f);
  p = fmaf(p, t, 0.254829592f);
  const float tail = 0.5f * bell * (p * t);
  return x < 0.0f ? tail : 1.0f - tail;
}

struct FastGeluForward {
  __device__ float operator()(float x) const {
    const float value = x * FastNormalDistribution(x, FastBell(x));
    return x < -20.0f ? 0.0f : value;  // Minus infinity times 0.
  }
};
struct FastGeluBackward {
  __device__ float operator()(float x, float dy) const {
    constexpr float kInverseRootOfTwoPi = 0.39894228040143268f;
    const float bell = FastBell(x);
    const float cut = fabsf(x) > 20.0f ? 0.0f : x;  // Infinity times 0.
    return dy * fmaf(cut * kInverseRootOfTwoPi, bell, FastNormalDistribution(x, bell));
  }
};

}  // namespace

Status GeluForwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, GpuValues y) {
  return MapOnGpu("GeluForward", stream, count, x, y, GeluForward(), FastGeluForward());
}

Status GeluBackwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, ConstGpuValues dy,
                       GpuValues dx) {
  return MapPairsOnGpu("GeluBackward", stream, count, x, dy, dx, GeluBackward(),
                       FastGeluBackward());
}

}  // namespace drover
