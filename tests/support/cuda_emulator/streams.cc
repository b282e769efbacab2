// Streams. An operation runs when somebody waits for it, or before, as the seed says;
// streams keep their own order and obey events, and nothing else orders them.

#include <algorithm>
#include <utility>

#include "tests/support/cuda_emulator/state.h"

namespace drover::emulator {
namespace {

bool CanGoOn(const CUstream_st& stream) {
  if (stream.queue.empty()) return false;
  const Operation& next = stream.queue.front();
  return next.awaited == nullptr || next.awaited->reached >= next.awaited_mark;
}

// After an error nothing runs any more, and nobody waits for ever.
void DropAll() {
  for (CUstream_st* stream : TheState().streams) {
    for (const Operation& operation : stream->queue) {
      if (operation.recorded != nullptr) operation.recorded->reached = operation.recorded_mark;
    }
    stream->queue.clear();
  }
}

cudaError_t WaitFor(CUstream_st* stream) {
  return RunUntil(stream, [stream] { return stream->queue.empty(); });
}

}  // namespace

CUstream_st* FindStream(cudaStream_t handle) {
  const std::vector<CUstream_st*>& streams = TheState().streams;
  if (handle == nullptr) return streams.front();
  return std::find(streams.begin(), streams.end(), handle) == streams.end() ? nullptr : handle;
}

cudaError_t Enqueue(cudaStream_t handle, Operation operation) {
  CUstream_st* const stream = FindStream(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream->capture != nullptr) {
    stream->capture->operations.push_back(std::move(operation));
    ++stream->captured;
    return cudaSuccess;
  }
  stream->queue.push_back(std::move(operation));
  while (TheState().schedule.StreamRunsAhead() && RunOne(nullptr)) {
  }
  return cudaSuccess;
}

bool RunOne(const CUstream_st* preferred) {
  State& state = TheState();
  std::vector<CUstream_st*> ready;
  for (CUstream_st* stream : state.streams) {
    if (CanGoOn(*stream)) ready.push_back(stream);
  }
  if (ready.empty()) return false;
  CUstream_st* chosen = ready[state.schedule.Choose(ready.size())];
  const auto awaited = std::find(ready.begin(), ready.end(), preferred);
  if (awaited != ready.end() && state.schedule.PrefersAwaitedStream()) chosen = *awaited;
  const Operation operation = std::move(chosen->queue.front());
  chosen->queue.pop_front();
  ++state.time_us;
  if (operation.recorded != nullptr) {
    operation.recorded->reached = operation.recorded_mark;
    operation.recorded->time_us = state.time_us;
  }
  if (operation.work != nullptr && !operation.work()) DropAll();
  return true;
}

cudaError_t RunUntil(const CUstream_st* awaited, const std::function<bool()>& is_done) {
  while (!TheState().failed && !is_done()) {
    if (!RunOne(awaited)) ReportError("no stream can go on: each waits for an event");
  }
  return Usable();
}

cudaError_t RunAll() {
  return RunUntil(nullptr, [] {
    const std::vector<CUstream_st*>& streams = TheState().streams;
    return std::all_of(streams.begin(), streams.end(),
                       [](const CUstream_st* stream) { return stream->queue.empty(); });
  });
}

}  // namespace drover::emulator

using namespace drover::emulator;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int) {
  drover::MutexLock lock(StateMutex());
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  *stream = new CUstream_st;
  (*stream)->device = CurrentDevice();
  TheState().streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  drover::MutexLock lock(StateMutex());
  CUstream_st* const stream = FindStream(handle);
  if (handle == nullptr || stream == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  const cudaError_t error = WaitFor(stream);
  std::erase(TheState().streams, stream);
  delete stream;
  return Returned(error);
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  drover::MutexLock lock(StateMutex());
  CUstream_st* const stream = FindStream(handle);
  if (stream == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return Returned(cudaErrorStreamCaptureUnsupported);
  ++TheState().host_waits.streams;
  return Returned(WaitFor(stream));
}

// Asking is what lets time pass: one operation runs.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  drover::MutexLock lock(StateMutex());
  CUstream_st* const stream = FindStream(handle);
  if (stream == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return Returned(cudaErrorStreamCaptureUnsupported);
  if (!stream->queue.empty()) RunOne(stream);
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}
