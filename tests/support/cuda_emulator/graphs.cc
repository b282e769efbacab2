// Graphs: operations that were recorded from one stream, and those that wait for its events, and
// are replayed as one.

#include <algorithm>

#include "tests/support/cuda_emulator/state.h"

using namespace drover::emulator;

// What is launched keeps its own copy, as CUDA's does.
struct CUgraphExec_st {
  std::vector<Operation> operations;
};

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  drover::MutexLock lock(StateMutex());
  CUstream_st* const stream = FindStream(handle);
  if (stream == nullptr) return Returned(cudaErrorInvalidResourceHandle);
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  // CUDA records no default stream.
  if (handle == nullptr || stream->capture != nullptr) {
    return Returned(cudaErrorStreamCaptureUnsupported);
  }
  stream->capture = new CUgraph_st;
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->host_thread = ThisHostThread();
  TheState().captures.push_back(stream->capture);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  drover::MutexLock lock(StateMutex());
  *graph = nullptr;
  CUstream_st* const stream = FindStream(handle);
  if (stream == nullptr || stream->capture == nullptr || stream->capture->origin != stream) {
    return Returned(cudaErrorInvalidValue);
  }
  CUgraph_st* const capture = stream->capture;
  std::erase(TheState().captures, capture);
  bool is_joined = true;
  for (CUstream_st* other : TheState().streams) {
    if (other->capture != capture) continue;
    other->capture = nullptr;
    if (other != stream && other->joined < other->captured) is_joined = false;
  }
  if (!is_joined) {
    delete capture;
    return Returned(cudaErrorStreamCaptureUnjoined);
  }
  *graph = capture;
  return Returned(Usable());
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  drover::MutexLock lock(StateMutex());
  if (graph == nullptr || nodes != nullptr) return Returned(cudaErrorInvalidValue);
  *count = graph->operations.size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  drover::MutexLock lock(StateMutex());
  if (graph == nullptr) return Returned(cudaErrorInvalidValue);
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  *executable = new CUgraphExec_st{graph->operations};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  drover::MutexLock lock(StateMutex());
  if (executable == nullptr) return Returned(cudaErrorInvalidValue);
  if (const cudaError_t usable = Usable(); usable != cudaSuccess) return Returned(usable);
  for (const Operation& operation : executable->operations) {
    const cudaError_t error = Enqueue(handle, operation);
    if (error != cudaSuccess) return Returned(error);
  }
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  drover::MutexLock lock(StateMutex());
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  drover::MutexLock lock(StateMutex());
  delete executable;
  return cudaSuccess;
}
