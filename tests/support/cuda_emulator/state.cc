#include "tests/support/cuda_emulator/state.h"

#include <algorithm>
#include <utility>

#include "tests/support/cuda_emulator/emulator.h"

namespace drover::emulator {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

State* NewState() {
  auto* const state = new State;
  state->streams.push_back(new CUstream_st);
  return state;
}

}  // namespace

Mutex* StateMutex() {
  static Mutex mutex;
  return &mutex;
}

// Never deleted: streams may outlive main().
State& TheState() {
  static State* const state = NewState();
  return *state;
}

int& CurrentDevice() { return current_device; }

const void* ThisHostThread() { return &current_device; }

bool CaptureForbids() {
  const std::vector<CUgraph_st*>& captures = TheState().captures;
  return std::any_of(captures.begin(), captures.end(), [](const CUgraph_st* capture) {
    if (capture->mode == cudaStreamCaptureModeGlobal) return true;
    return capture->mode == cudaStreamCaptureModeThreadLocal &&
           capture->host_thread == ThisHostThread();
  });
}

cudaError_t Returned(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

cudaError_t Usable() {
  if (TheState().device_count == 0) return cudaErrorNoDevice;
  return TheState().failed ? cudaErrorLaunchFailure : cudaSuccess;
}

void ReportError(const std::string& what) {
  TheState().errors.push_back(what);
  TheState().failed = true;
}

void SetSeed(uint64_t seed) {
  MutexLock lock(StateMutex());
  TheState().schedule = Schedule(seed);
}

std::vector<std::string> TakeErrors() {
  MutexLock lock(StateMutex());
  TheState().failed = false;
  return std::exchange(TheState().errors, {});
}

int64_t LaunchCount() {
  MutexLock lock(StateMutex());
  return TheState().launches;
}

HostWaits TakeHostWaits() {
  MutexLock lock(StateMutex());
  return std::exchange(TheState().host_waits, {});
}

int64_t AllocationCount() {
  MutexLock lock(StateMutex());
  return static_cast<int64_t>(TheState().allocations.size());
}

void FailNextAllocation() {
  MutexLock lock(StateMutex());
  TheState().next_allocation_fails = true;
}

void SetDeviceCount(int count) {
  MutexLock lock(StateMutex());
  TheState().device_count = count;
}

}  // namespace drover::emulator

cudaError_t cudaGetLastError() { return std::exchange(drover::emulator::last_error, cudaSuccess); }

cudaError_t cudaPeekAtLastError() { return drover::emulator::last_error; }
