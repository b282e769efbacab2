// What all parts of the emulated runtime share: one lock, the schedule of the seed, errors, memory
// and streams. Thread-safe only through the lock, which every function of the API holds.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_STATE_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_STATE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/support/cuda_emulator/runtime_api.h"
#include "tests/support/cuda_emulator/schedule.h"

namespace drover::emulator {

// A mark in a stream, and how far it has come. Shared with operations that outlive the event.
struct EventState {
  int64_t recorded = 0;  // Calls of cudaEventRecord.
  int64_t reached = 0;   // The last of them that the stream has come to.
  int64_t time_us = 0;   // When it did.
  bool has_timing = true;
};

// What a stream does: work, a wait for a mark, or a mark.
struct Operation {
  std::function<bool()> work;  // False after an error, which is reported.
  std::shared_ptr<EventState> awaited;
  int64_t awaited_mark = 0;
  std::shared_ptr<EventState> recorded;
  int64_t recorded_mark = 0;
};

}  // namespace drover::emulator

struct CUstream_st {
  int device = 0;
  std::deque<drover::emulator::Operation> queue;
  CUgraph_st* capture = nullptr;  // The graph that takes its operations instead of the queue.
  int64_t captured = 0;           // Operations that the graph took from this stream,
  int64_t joined = 0;             // and how many of them another stream of the graph waited for.
};

struct CUgraph_st {
  CUstream_st* origin = nullptr;
  std::vector<drover::emulator::Operation> operations;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  const void* host_thread = nullptr;  // Began it, as ThisHostThread() says.
};

struct CUevent_st {
  std::shared_ptr<drover::emulator::EventState> state;
  CUgraph_st* capture = nullptr;  // The graph in which it was recorded last; nullptr for none.
  CUstream_st* capture_stream = nullptr;
  int64_t captured = 0;  // Operations of that stream before it.
};

namespace drover::emulator {

inline constexpr size_t kDeviceBytes = size_t{2} << 30;  // Memory of each device.

struct Allocation {
  size_t bytes = 0;
  bool on_device = false;
  int device = 0;
  int64_t number = 0;  // Tells it from a later one at the same address.
};

struct State {
  Schedule schedule{0};
  std::vector<std::string> errors;
  bool failed = false;  // Sticks until TakeErrors().
  int64_t launches = 0;
  HostWaits host_waits;
  int64_t time_us = 0;  // One microsecond per operation.

  int device_count = 1;
  std::map<uintptr_t, Allocation> allocations;
  int64_t allocations_made = 0;
  bool next_allocation_fails = false;

  std::vector<CUstream_st*> streams;  // The default stream first.
  std::vector<CUgraph_st*> captures;  // That are open.
};

// Held by every function of the API.
Mutex* StateMutex();
// Call with the lock held.
State& TheState();

// The current device of the calling thread.
int& CurrentDevice();

// Tells host threads apart.
const void* ThisHostThread();

// Whether a recording forbids the calling thread what would wait or allocate.
bool CaptureForbids();

// `error`, remembered for cudaGetLastError() of the calling thread.
cudaError_t Returned(cudaError_t error);

// cudaSuccess, or why no call can succeed now.
cudaError_t Usable();

// Adds to the errors and makes the device unusable.
void ReportError(const std::string& what);

// The stream behind a handle; nullptr when there is none.
CUstream_st* FindStream(cudaStream_t handle);

// Puts an operation at the end of a stream, or into the graph that it records.
cudaError_t Enqueue(cudaStream_t stream, Operation operation);

// Runs operations, chosen by the seed among the streams, until `is_done`; those of `awaited` are
// what the caller waits for (nullptr: all).
cudaError_t RunUntil(const CUstream_st* awaited, const std::function<bool()>& is_done);

// Runs everything that is enqueued.
cudaError_t RunAll();

// Runs one operation of any stream that can go on. False when there is none.
bool RunOne(const CUstream_st* preferred);

// Why `bytes` at `pointer` are not inside one allocation of the device; empty when they are.
std::string WhyNotOnDevice(const void* pointer, size_t bytes);

// The allocation that holds `pointer`; nullptr for memory of somebody else.
const Allocation* FindAllocation(const void* pointer);

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_STATE_H_
