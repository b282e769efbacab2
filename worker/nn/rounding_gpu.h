// float32 to bfloat16 and back on a GPU, as ToBf16 and FromBf16 (common/tensor/bf16.h) do.
// Enqueues; any thread.

#ifndef DROVER_WORKER_NN_ROUNDING_GPU_H_
#define DROVER_WORKER_NN_ROUNDING_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

// from, to: [count], at multiples of 16 bytes.
Status RoundToBf16OnGpu(int64_t count, const float* from, uint16_t* to, const GpuStream& stream);

// As float32, and, unless `copy` is null, as they are: the two forms in which a model has its
// weights. from, to, copy: [count], at multiples of 16 bytes.
Status WidenBf16OnGpu(int64_t count, const uint16_t* from, float* to, uint16_t* copy,
                      const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_ROUNDING_GPU_H_
