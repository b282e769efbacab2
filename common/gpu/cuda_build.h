// Which CUDA this program was built with. Asks no driver and opens nothing; any thread.

#ifndef DROVER_COMMON_GPU_CUDA_BUILD_H_
#define DROVER_COMMON_GPU_CUDA_BUILD_H_

#include <string>

namespace drover {

// "13.0"; "none" when the build has no CUDA.
std::string CudaOfBuild();

}  // namespace drover

#endif  // DROVER_COMMON_GPU_CUDA_BUILD_H_
