#include "worker/nn/float_sigmoid.h"
#include "worker/nn/simd_cpu.h"
#include "worker/nn/tanh.h"

namespace drover {

DROVER_SIMD
void TanhForwardCpu(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = Tanh(x[i]);
}

DROVER_SIMD
void TanhBackwardCpu(int64_t count, const float* y, const float* dy, float* dx) {
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * TanhSlope(y[i]);
}

}  // namespace drover
