// GELU (gelu.h) on a GPU, for ElementwiseGpu. Enqueues; any thread.

#ifndef DROVER_WORKER_NN_GELU_GPU_H_
#define DROVER_WORKER_NN_GELU_GPU_H_

#include "worker/nn/elementwise_gpu.h"

namespace drover {

Status GeluForwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, GpuValues y);
Status GeluBackwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, ConstGpuValues dy,
                       GpuValues dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GELU_GPU_H_
