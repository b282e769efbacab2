// Memory of the emulated devices and pinned memory: plain memory of the host with exact sizes, so
// that AddressSanitizer sees accesses beyond its end.

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/support/cuda_emulator/state.h"

namespace drover::emulator {
namespace {

constexpr size_t kAlignment = 256;  // As cudaMalloc promises.

size_t UsedBytes(int device) {
  size_t used = 0;
  for (const auto& [address, allocation] : TheState().allocations) {
    if (allocation.on_device && allocation.device == device) used += allocation.bytes;
  }
  return used;
}

cudaError_t Allocate(void** pointer, size_t bytes, bool on_device) {
  State& state = TheState();
  const cudaError_t usable = Usable();
  if (usable != cudaSuccess) return usable;
  if (CaptureForbids()) return cudaErrorStreamCaptureUnsupported;
  if (std::exchange(state.next_allocation_fails, false)) return cudaErrorMemoryAllocation;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  ++state.host_waits.allocations;
  const bool fits = !on_device || bytes <= kDeviceBytes - UsedBytes(CurrentDevice());
  if (!fits || posix_memalign(pointer, kAlignment, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*pointer, 0xff, bytes);
  state.allocations[reinterpret_cast<uintptr_t>(*pointer)] = {bytes, on_device, CurrentDevice(),
                                                              ++state.allocations_made};
  return cudaSuccess;
}

cudaError_t Release(void* pointer, bool on_device) {
  if (pointer == nullptr) return cudaSuccess;
  State& state = TheState();
  const auto found = state.allocations.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == state.allocations.end() || found->second.on_device != on_device) {
    return cudaErrorInvalidValue;
  }
  if (CaptureForbids()) return cudaErrorStreamCaptureUnsupported;
  ++state.host_waits.allocations;
  const cudaError_t error = on_device ? RunAll() : Usable();
  state.allocations.erase(found);
  std::free(pointer);
  return error;
}

}  // namespace

const Allocation* FindAllocation(const void* pointer) {
  const auto& allocations = TheState().allocations;
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  auto after = allocations.upper_bound(address);
  if (after == allocations.begin()) return nullptr;
  const auto& [begin, allocation] = *--after;
  return address < begin + allocation.bytes ? &allocation : nullptr;
}

std::string WhyNotOnDevice(const void* pointer, size_t bytes) {
  const Allocation* const allocation = FindAllocation(pointer);
  if (allocation == nullptr || !allocation->on_device) return "no memory of a device";
  auto after = TheState().allocations.upper_bound(reinterpret_cast<uintptr_t>(pointer));
  const uintptr_t begin = (--after)->first;
  const size_t rest = begin + allocation->bytes - reinterpret_cast<uintptr_t>(pointer);
  if (bytes <= rest) return "";
  return fmt::format("{} bytes, but the allocation of {} ends after {}", bytes, allocation->bytes,
                     rest);
}

}  // namespace drover::emulator

using namespace drover::emulator;

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  drover::MutexLock lock(StateMutex());
  return Returned(Allocate(pointer, bytes, /*on_device=*/true));
}

cudaError_t cudaFree(void* pointer) {
  drover::MutexLock lock(StateMutex());
  return Returned(Release(pointer, /*on_device=*/true));
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned int) {
  drover::MutexLock lock(StateMutex());
  return Returned(Allocate(pointer, bytes, /*on_device=*/false));
}

cudaError_t cudaFreeHost(void* pointer) {
  drover::MutexLock lock(StateMutex());
  return Returned(Release(pointer, /*on_device=*/false));
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  drover::MutexLock lock(StateMutex());
  *total_bytes = kDeviceBytes;
  *free_bytes = kDeviceBytes - UsedBytes(CurrentDevice());
  return Returned(Usable());
}
