// Copies of the kernels' sums of squares with a mistake each, to see that the emulator notices.

#ifndef DROVER_TESTS_UNIT_SERVER_OPTIM_BROKEN_SUMS_GPU_H_
#define DROVER_TESTS_UNIT_SERVER_OPTIM_BROKEN_SUMS_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

// The sum of squares of `values`, [strips * kStripElements], in *sum. scratch: [strips];
// arrived: [2].
enum class Mistake { kNone, kNoBarrier, kArrivalOrder };
Status SumSquaresOnGpu(Mistake mistake, const float* values, uint32_t strips, double* scratch,
                       uint32_t* arrived, double* sum, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_OPTIM_BROKEN_SUMS_GPU_H_
