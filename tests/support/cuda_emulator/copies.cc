// Copies and fills. The host's side is touched when the stream comes to it: whoever writes a
// buffer too early, or reads one too early, sees it.

#include <fmt/format.h>

#include <cstring>

#include "tests/support/cuda_emulator/state.h"

namespace drover::emulator {
namespace {

// Pinned memory that was freed before its copy ran, or nothing.
bool IsFreed(const void* pointer, int64_t number) {
  if (number == 0) return false;
  const Allocation* const allocation = FindAllocation(pointer);
  return allocation == nullptr || allocation->number != number;
}

int64_t NumberOf(const void* pointer) {
  const Allocation* const allocation = FindAllocation(pointer);
  return allocation == nullptr ? 0 : allocation->number;
}

// The sides of a copy that are on the device.
struct Sides {
  bool to;
  bool from;
};

Sides SidesOf(cudaMemcpyKind kind, const void* to, const void* from) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return {false, false};
    case cudaMemcpyHostToDevice:
      return {true, false};
    case cudaMemcpyDeviceToHost:
      return {false, true};
    case cudaMemcpyDeviceToDevice:
      return {true, true};
    case cudaMemcpyDefault:
      break;
  }
  return {WhyNotOnDevice(to, 0).empty(), WhyNotOnDevice(from, 0).empty()};
}

cudaError_t EnqueueCopy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                        cudaStream_t stream) {
  const cudaError_t usable = Usable();
  if (usable != cudaSuccess) return usable;
  if (bytes == 0) return cudaSuccess;
  const Sides device = SidesOf(kind, to, from);
  if (device.to && !WhyNotOnDevice(to, bytes).empty()) return cudaErrorInvalidValue;
  if (device.from && !WhyNotOnDevice(from, bytes).empty()) return cudaErrorInvalidValue;
  const int64_t to_number = NumberOf(to);
  const int64_t from_number = NumberOf(from);
  if ((!device.to && to_number == 0) || (!device.from && from_number == 0)) {
    TheState().host_waits.pageable_bytes += static_cast<int64_t>(bytes);
  }
  Operation copy;
  copy.work = [=] {
    if (IsFreed(to, to_number) || IsFreed(from, from_number)) {
      ReportError(fmt::format("copy of {} bytes: its {} was freed before the copy ran", bytes,
                              IsFreed(to, to_number) ? "target" : "source"));
      return false;
    }
    std::memmove(to, from, bytes);
    return true;
  };
  return Enqueue(stream, copy);
}

}  // namespace
}  // namespace drover::emulator

using namespace drover::emulator;

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  drover::MutexLock lock(StateMutex());
  return Returned(EnqueueCopy(to, from, bytes, kind, stream));
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  drover::MutexLock lock(StateMutex());
  if (CaptureForbids()) return Returned(cudaErrorStreamCaptureUnsupported);
  const cudaError_t error = EnqueueCopy(to, from, bytes, kind, nullptr);
  if (error != cudaSuccess) return Returned(error);
  const CUstream_st* const stream = FindStream(nullptr);
  return Returned(RunUntil(stream, [stream] { return stream->queue.empty(); }));
}

cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  drover::MutexLock lock(StateMutex());
  const cudaError_t usable = Usable();
  if (usable != cudaSuccess || bytes == 0) return Returned(usable);
  if (!WhyNotOnDevice(pointer, bytes).empty()) return Returned(cudaErrorInvalidValue);
  Operation fill;
  fill.work = [=] {
    std::memset(pointer, value, bytes);
    return true;
  };
  return Returned(Enqueue(stream, fill));
}
