#include "worker/nn/float_sigmoid.h"
#include "worker/nn/sigmoid.h"
#include "worker/nn/simd_cpu.h"

namespace drover {

DROVER_SIMD
void SigmoidForwardCpu(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = Sigmoid(x[i]);
}

DROVER_SIMD
void SigmoidBackwardCpu(int64_t count, const float* y, const float* dy, float* dx) {
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * SigmoidSlope(y[i]);
}

}  // namespace drover
