// Stands in for CUDA's header of this name when a host compiler reads our .cu files: the part of
// the language and of the runtime API that we use, and nothing more. What it does is in the files
// below; what tests may ask of it is in emulator.h. Calls may come from any thread.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_CUDA_RUNTIME_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_CUDA_RUNTIME_H_

#include <math.h>

#include "tests/support/cuda_emulator/device_functions.h"
#include "tests/support/cuda_emulator/launch.h"
#include "tests/support/cuda_emulator/runtime_api.h"
#include "tests/support/cuda_emulator/shared_array.h"
#include "tests/support/cuda_emulator/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

// Where the thread that runs stands. Set before each thread goes on.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_CUDA_RUNTIME_H_
