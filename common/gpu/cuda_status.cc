#include "common/gpu/cuda_status.h"

#include <fmt/format.h>

namespace drover {
namespace {

Code CodeOf(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return Code::kResourceExhausted;
    case cudaErrorInsufficientDriver:
      return Code::kFailedPrecondition;
    case cudaErrorNoDevice:
      return Code::kNotFound;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidDevice:
    case cudaErrorInvalidConfiguration:
      return Code::kInvalidArgument;
    default:  // Some of the other hundred; new ones come with each CUDA.
      return Code::kInternal;
  }
}

}  // namespace

Status CudaStatus(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return Status();
  return Status(CodeOf(error), fmt::format("{}: {}: {}", what, cudaGetErrorName(error),
                                           cudaGetErrorString(error)));
}

Status LaunchStatus(const std::string& kernel) {
  return CudaStatus(cudaGetLastError(), "launch of " + kernel);
}

}  // namespace drover
