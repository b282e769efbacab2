#include "worker/nn/float_relu.h"
#include "worker/nn/relu.h"
#include "worker/nn/simd_cpu.h"

namespace drover {

DROVER_SIMD
void ReluForwardCpu(int64_t count, const float* input, float* output) {
  for (int64_t i = 0; i < count; ++i) output[i] = ReluOf(input[i]);
}

DROVER_SIMD
void ReluBackwardCpu(int64_t count, const float* output, const float* output_gradient,
                     float* input_gradient) {
  for (int64_t i = 0; i < count; ++i) {
    input_gradient[i] = ReluGradient(output[i], output_gradient[i]);
  }
}

}  // namespace drover
