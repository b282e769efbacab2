#include "worker/nn/relu.h"
#include "worker/nn/simd_cpu.h"

namespace drover {

// Both comparisons are false for NaN, which therefore passes.
DROVER_SIMD
void ReluForwardCpu(int64_t count, const float* input, float* output) {
  for (int64_t i = 0; i < count; ++i) output[i] = input[i] <= 0.0f ? 0.0f : input[i];
}

DROVER_SIMD
void ReluBackwardCpu(int64_t count, const float* output, const float* output_gradient,
                     float* input_gradient) {
  for (int64_t i = 0; i < count; ++i) {
    input_gradient[i] = output[i] <= 0.0f ? 0.0f : output_gradient[i];
  }
}

}  // namespace drover
