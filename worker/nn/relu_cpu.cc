#include "worker/nn/relu.h"

namespace drover {

// Both comparisons are false for NaN, which therefore passes.
void ReluForwardCpu(int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) values[i] = values[i] <= 0.0f ? 0.0f : values[i];
}

void ReluBackwardCpu(int64_t count, const float* output, float* gradient) {
  for (int64_t i = 0; i < count; ++i) gradient[i] = output[i] <= 0.0f ? 0.0f : gradient[i];
}

}  // namespace drover
