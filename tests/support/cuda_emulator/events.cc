// Events: marks in streams, which other streams and the host may wait for.

#include <algorithm>

#include "tests/support/cuda_emulator/state.h"

namespace drover::emulator {
namespace {

bool IsOpen(const CUgraph_st* capture) {
  const std::vector<CUgraph_st*>& captures = TheState().captures;
  return std::find(captures.begin(), captures.end(), capture) != captures.end();
}

bool IsReached(const EventState& event) { return event.reached >= event.recorded; }

// A wait inside a recording. The graph keeps the order of the calls, so there is nothing to do but
// to see that the recording is whole.
cudaError_t WaitInCapture(CUstream_st* stream, const CUevent_st& event) {
  if (event.capture == nullptr) {
    return event.state->recorded == 0 ? cudaSuccess : cudaErrorStreamCaptureIsolation;
  }
  if (!IsOpen(event.capture)) return cudaErrorStreamCaptureIsolation;
  if (stream->capture == nullptr) {
    stream->capture = event.capture;
    stream->captured = 0;
    stream->joined = 0;
  }
  if (stream->capture != event.capture) return cudaErrorStreamCaptureIsolation;
  ++stream->captured;
  event.capture_stream->joined = std::max(event.capture_stream->joined, event.captured);
  return cudaSuccess;
}

}  // namespace
}  // namespace drover::emulator

using namespace drover::emulator;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  drover::MutexLock lock(StateMutex());
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  *event = new CUevent_st;
  (*event)->state = std::make_shared<EventState>();
  (*event)->state->has_timing = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  drover::MutexLock lock(StateMutex());
  if (event == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  drover::MutexLock lock(StateMutex());
  CUstream_st* const stream = FindStream(handle);
  if (event == nullptr || stream == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  event->capture = stream->capture;
  if (stream->capture != nullptr) {
    event->capture_stream = stream;
    event->captured = stream->captured;
    return cudaSuccess;
  }
  Operation mark;
  mark.recorded = event->state;
  mark.recorded_mark = ++event->state->recorded;
  return Returned(Enqueue(handle, mark));
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int) {
  drover::MutexLock lock(StateMutex());
  CUstream_st* const stream = FindStream(handle);
  if (event == nullptr || stream == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  if (stream->capture != nullptr || event->capture != nullptr) {
    return Returned(WaitInCapture(stream, *event));
  }
  Operation wait;
  wait.awaited = event->state;
  wait.awaited_mark = event->state->recorded;
  return Returned(Enqueue(handle, wait));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  drover::MutexLock lock(StateMutex());
  if (event == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return Returned(cudaErrorCapturedEvent);
  if (!IsReached(*event->state)) ++TheState().host_waits.events;
  return Returned(RunUntil(nullptr, [event] { return IsReached(*event->state); }));
}

// Asking is what lets time pass: one operation runs.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  drover::MutexLock lock(StateMutex());
  if (event == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return Returned(cudaErrorCapturedEvent);
  if (!IsReached(*event->state)) RunOne(nullptr);
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  return IsReached(*event->state) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  drover::MutexLock lock(StateMutex());
  for (const CUevent_st* event : {begin, end}) {
    if (event == nullptr || !event->state->has_timing || event->state->recorded == 0) {
      return Returned(cudaErrorInvalidResourceHandle);
    }
    if (!IsReached(*event->state)) return cudaErrorNotReady;
  }
  *milliseconds = static_cast<float>(end->state->time_us - begin->state->time_us) / 1000.0f;
  return Returned(Usable());
}
