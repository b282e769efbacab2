#include "worker/nn/float_gelu.h"
#include "worker/nn/gelu.h"
#include "worker/nn/simd_cpu.h"

namespace drover {

DROVER_SIMD
void GeluForwardCpu(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = GeluOf(x[i]);
}

DROVER_SIMD
void GeluBackwardCpu(int64_t count, const float* x, const float* dy, float* dx) {
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * GeluSlope(x[i]);
}

}  // namespace drover
