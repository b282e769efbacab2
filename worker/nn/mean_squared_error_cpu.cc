#include "worker/nn/mean_squared_error.h"
#include "worker/nn/simd_cpu.h"

namespace drover {

DROVER_SIMD
double MeanSquaredErrorSampleCpu(const float* output, int64_t outputs, const float* targets,
                                 int64_t label, float* gradient) {
  const float scale = 2.0f / static_cast<float>(outputs);
  double sum = 0.0;
  for (int64_t o = 0; o < outputs; ++o) {
    const float target = targets != nullptr ? targets[o] : o == label ? 1.0f : 0.0f;
    const float difference = output[o] - target;
    sum += static_cast<double>(difference) * static_cast<double>(difference);
    if (gradient != nullptr) gradient[o] = scale * difference;
  }
  return sum / static_cast<double>(outputs);
}

}  // namespace drover
