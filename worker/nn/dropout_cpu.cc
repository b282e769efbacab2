#include <bit>
#include <cstdint>

#include "worker/nn/dropout.h"
#include "worker/nn/simd_cpu.h"

namespace drover {

DROVER_SIMD
void ClearStruckOutCpu(int64_t count, float* factors) {
  for (int64_t i = 0; i < count; ++i) {
    factors[i] = std::bit_cast<int32_t>(factors[i]) < 0 ? 0.0f : factors[i];
  }
}

DROVER_SIMD
void MultiplyCpu(int64_t count, const float* input, const float* factors, float* output) {
  for (int64_t i = 0; i < count; ++i) output[i] = input[i] * factors[i];
}

}  // namespace drover
