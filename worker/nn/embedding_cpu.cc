#include "worker/nn/embedding.h"
#include "worker/nn/simd_cpu.h"

namespace drover {

DROVER_SIMD
void AddRowCpu(const float* row, int64_t size, float* to) {
  for (int64_t i = 0; i < size; ++i) to[i] += row[i];
}

}  // namespace drover
