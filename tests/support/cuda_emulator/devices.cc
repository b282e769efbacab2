// The emulated devices: what they are called and what they can do.

#include <algorithm>
#include <cstdio>

#include "tests/support/cuda_emulator/grid.h"
#include "tests/support/cuda_emulator/state.h"

namespace drover::emulator {
namespace {

constexpr int kVersion = 13000;
constexpr int kThreadsPerBlockMax = 1024;
constexpr int kL2Bytes = 4 << 20;
constexpr int kClockKhz = 1'000'000;

cudaError_t CheckDevice(int device) {
  const cudaError_t usable = Usable();
  if (usable != cudaSuccess) return usable;
  return device >= 0 && device < TheState().device_count ? cudaSuccess : cudaErrorInvalidDevice;
}

}  // namespace
}  // namespace drover::emulator

using namespace drover::emulator;

cudaError_t cudaDriverGetVersion(int* version) {
  drover::MutexLock lock(StateMutex());
  *version = TheState().device_count == 0 ? 0 : kVersion;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = kVersion;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  drover::MutexLock lock(StateMutex());
  *count = TheState().device_count;
  return Returned(Usable());
}

cudaError_t cudaGetDevice(int* device) {
  drover::MutexLock lock(StateMutex());
  *device = CurrentDevice();
  return Returned(Usable());
}

cudaError_t cudaSetDevice(int device) {
  drover::MutexLock lock(StateMutex());
  const cudaError_t error = CheckDevice(device);
  if (error == cudaSuccess) CurrentDevice() = device;
  return Returned(error);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  drover::MutexLock lock(StateMutex());
  const cudaError_t error = CheckDevice(device);
  if (error != cudaSuccess) return Returned(error);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated device");
  properties->totalGlobalMem = kDeviceBytes;
  properties->sharedMemPerBlock = 48 << 10;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = kThreadsPerBlockMax;
  properties->maxThreadsPerMultiProcessor = 2 * kThreadsPerBlockMax;
  properties->multiProcessorCount = kMultiprocessors;
  properties->major = 9;
  properties->l2CacheSize = kL2Bytes;
  properties->memoryBusWidth = 64;
  properties->pciBusID = device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  drover::MutexLock lock(StateMutex());
  const cudaError_t error = CheckDevice(device);
  if (error != cudaSuccess) return Returned(error);
  switch (attribute) {
    case cudaDevAttrClockRate:
      *value = kClockKhz;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      return cudaSuccess;
    case cudaDevAttrL2CacheSize:
      *value = kL2Bytes;
      return cudaSuccess;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = 2 * kThreadsPerBlockMax;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      return cudaSuccess;
  }
  return Returned(cudaErrorInvalidValue);
}

cudaError_t EmulatedFuncSetAttribute(cudaFuncAttribute, int value) {
  drover::MutexLock lock(StateMutex());
  return Returned(value < 0 ? cudaErrorInvalidValue : Usable());
}

cudaError_t EmulatedOccupancy(int* blocks, int threads, size_t) {
  drover::MutexLock lock(StateMutex());
  if (threads <= 0 || threads > kThreadsPerBlockMax) return Returned(cudaErrorInvalidValue);
  *blocks = kBlocksPerMultiprocessor;
  return Returned(Usable());
}

// The names and words of CUDA's own table.
#define DROVER_ERRORS(X)                                                                   \
  X(cudaSuccess, "no error")                                                               \
  X(cudaErrorInvalidValue, "invalid argument")                                             \
  X(cudaErrorMemoryAllocation, "out of memory")                                            \
  X(cudaErrorInvalidConfiguration, "invalid configuration argument")                       \
  X(cudaErrorInsufficientDriver,                                                           \
    "CUDA driver version is insufficient for CUDA runtime "                                \
    "version")                                                                             \
  X(cudaErrorNoDevice, "no CUDA-capable device is detected")                               \
  X(cudaErrorInvalidDevice, "invalid device ordinal")                                      \
  X(cudaErrorInvalidResourceHandle, "invalid resource handle")                             \
  X(cudaErrorNotReady, "device not ready")                                                 \
  X(cudaErrorLaunchFailure, "unspecified launch failure")                                  \
  X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing") \
  X(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work")                  \
  X(cudaErrorStreamCaptureIsolation,                                                       \
    "dependency created on uncaptured work in another "                                    \
    "stream")                                                                              \
  X(cudaErrorCapturedEvent,                                                                \
    "operation not permitted on an event last recorded in a "                              \
    "capturing stream")

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define DROVER_NAME(code, words) \
  case code:                     \
    return #code;
    DROVER_ERRORS(DROVER_NAME)
#undef DROVER_NAME
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define DROVER_WORDS(code, words) \
  case code:                      \
    return words;
    DROVER_ERRORS(DROVER_WORDS)
#undef DROVER_WORDS
  }
  return "unrecognized error code";
}
