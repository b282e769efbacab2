// Copies from device to shared memory that go on while the thread does something else (cp.async of
// the PTX ISA). The emulator copies at once: it cannot show a missing wait.

#ifndef DROVER_WORKER_NN_ASYNC_COPY_CUH_
#define DROVER_WORKER_NN_ASYNC_COPY_CUH_

#include "common/gpu/kernel.h"

namespace drover {

// Begins to copy the 16 bytes at `from`, a multiple of 16, to element `index` of a shared array of
// uint4; 0 if not `is_there`: then nothing is read.
template <typename Array>
__device__ __forceinline__ void BeginCopy(Array& to, int index, const void* from, bool is_there) {
#ifdef __CUDACC__
  const auto address = static_cast<unsigned int>(__cvta_generic_to_shared(&to[index]));
  const int bytes = is_there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes)
               : "memory");
#else
  to[index] = is_there ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
#endif
}

// Waits for all copies that this thread has begun; __syncthreads() then shows them to the others.
__device__ __forceinline__ void WaitForCopies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_ASYNC_COPY_CUH_
