// What the CUDA runtime answered, as a Status. Only for files that are compiled against CUDA or the
// emulator: device.cc, graph.cc, *_gpu.cu. Pure functions but for LaunchStatus, which reads and
// clears the calling thread's last error.

#ifndef DROVER_COMMON_GPU_CUDA_STATUS_H_
#define DROVER_COMMON_GPU_CUDA_STATUS_H_

#include <cuda_runtime.h>

#include <string>

#include "common/base/status.h"

namespace drover {

// OK for cudaSuccess; else "what: cudaErrorName: its description", kResourceExhausted when memory
// is short, kFailedPrecondition or kNotFound when driver or GPU are missing, kInvalidArgument for a
// wrong argument, kInternal for the rest. `what` says what was asked, with values.
Status CudaStatus(cudaError_t error, const std::string& what);

// After each launch: whether the launch itself was accepted. Never waits; what goes wrong while the
// kernel runs shows at the next wait.
Status LaunchStatus(const std::string& kernel);

}  // namespace drover

#endif  // DROVER_COMMON_GPU_CUDA_STATUS_H_
