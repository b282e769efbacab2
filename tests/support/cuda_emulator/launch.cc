#include "tests/support/cuda_emulator/launch.h"

#include <fmt/format.h>

#include "tests/support/cuda_emulator/grid.h"
#include "tests/support/cuda_emulator/state.h"

namespace drover::emulator {
namespace {

constexpr uint64_t kThreadsMax = 1024;
constexpr uint64_t kBlocksMax = uint64_t{1} << 20;  // Less than CUDA's: more would take for ever.

bool Fits(const dim3& extent, uint64_t count_max) {
  const uint64_t count = uint64_t{extent.x} * extent.y * extent.z;
  return count > 0 && count <= count_max;
}

cudaError_t EnqueueKernel(const KernelCall& call, size_t dynamic_shared_bytes,
                          cudaStream_t handle) {
  const cudaError_t usable = Usable();
  if (usable != cudaSuccess) return usable;
  const CUstream_st* const stream = FindStream(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  // A stream belongs to a device; a kernel goes to the current one.
  if (handle != nullptr && stream->device != CurrentDevice()) return cudaErrorInvalidResourceHandle;
  if (!Fits(call.grid, kBlocksMax) || !Fits(call.block, kThreadsMax)) {
    return cudaErrorInvalidConfiguration;
  }
  if (dynamic_shared_bytes != 0) {
    ReportError(
        fmt::format("kernel {}: {} bytes of dynamic shared memory: only "
                    "DROVER_SHARED_ARRAY is emulated",
                    call.name, dynamic_shared_bytes));
    return cudaErrorInvalidConfiguration;
  }
  Operation launch;
  launch.work = [call] {
    ++TheState().launches;
    return Grid(call, &TheState().schedule).Run();
  };
  return Enqueue(handle, launch);
}

}  // namespace

void Enqueue(const KernelCall& call, size_t dynamic_shared_bytes, cudaStream_t stream) {
  MutexLock lock(StateMutex());
  Returned(EnqueueKernel(call, dynamic_shared_bytes, stream));
}

}  // namespace drover::emulator
