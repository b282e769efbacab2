// What DROVER_LAUNCH (common/gpu/kernel.h) becomes: the arguments are copied now, as CUDA does, and
// the kernel runs when its stream comes to it.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_LAUNCH_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_LAUNCH_H_

#include <cstddef>
#include <functional>
#include <string>
#include <type_traits>

#include "tests/support/cuda_emulator/runtime_api.h"
#include "tests/support/cuda_emulator/vector_types.h"

namespace drover::emulator {

struct KernelCall {
  std::string name;
  dim3 grid;
  dim3 block;
  std::function<void()> thread;  // What each thread does.
};

// Refuses extents that no device has; cudaGetLastError() tells.
void Enqueue(const KernelCall& call, size_t dynamic_shared_bytes, cudaStream_t stream);

template <typename... Parameters>
void Launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t dynamic_shared_bytes, cudaStream_t stream,
            std::type_identity_t<Parameters>... arguments) {
  Enqueue({name, grid, block, [kernel, arguments...] { kernel(arguments...); }},
          dynamic_shared_bytes, stream);
}

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_LAUNCH_H_
