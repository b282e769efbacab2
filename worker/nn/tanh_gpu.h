// The hyperbolic tangent (tanh.h) on a GPU, for ElementwiseGpu. Enqueues; any thread.

#ifndef DROVER_WORKER_NN_TANH_GPU_H_
#define DROVER_WORKER_NN_TANH_GPU_H_

#include "worker/nn/elementwise_gpu.h"

namespace drover {

Status TanhForwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues x, GpuValues y);
Status TanhBackwardGpu(const GpuStream& stream, int64_t count, ConstGpuValues y, ConstGpuValues dy,
                       GpuValues dx);

}  // namespace drover

#endif  // DROVER_WORKER_NN_TANH_GPU_H_
