// float32 to bfloat16 on a GPU, as ToBf16 (common/tensor/bf16.h) rounds. Enqueues; any thread.

#ifndef DROVER_WORKER_NN_ROUNDING_GPU_H_
#define DROVER_WORKER_NN_ROUNDING_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

// from, to: [count], at multiples of 16 bytes.
Status RoundToBf16OnGpu(int64_t count, const float* from, uint16_t* to, const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_ROUNDING_GPU_H_
