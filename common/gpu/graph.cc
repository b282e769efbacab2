#include <cuda_runtime.h>
#include <fmt/format.h>

#include "common/gpu/cuda_status.h"
#include "common/gpu/device.h"

namespace drover {
namespace {

Status Checked(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();  // Else the next launch would report it.
  return CudaStatus(error, what);
}

// The recording, deleted when it goes out of scope: an executable graph keeps its own copy.
struct Recording {
  cudaGraph_t graph = nullptr;
  ~Recording() {
    if (graph != nullptr) (void)cudaGraphDestroy(graph);
  }
};

}  // namespace

Result<GpuGraph> GpuGraph::Capture(const GpuStream& stream,
                                   const std::function<Status()>& enqueue) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const cudaStream_t native = static_cast<cudaStream_t>(stream.handle());
  DROVER_RETURN_IF_ERROR(Checked(cudaStreamBeginCapture(native, cudaStreamCaptureModeThreadLocal),
                                 "begin of a graph"));
  const Status enqueued = enqueue();
  // Ends the recording whatever happened, so that the stream works again.
  Recording recording;
  const Status ended = Checked(cudaStreamEndCapture(native, &recording.graph), "end of a graph");
  if (!enqueued.ok()) return enqueued;
  if (!ended.ok()) return ended;
  size_t nodes = 0;
  DROVER_RETURN_IF_ERROR(
      Checked(cudaGraphGetNodes(recording.graph, nullptr, &nodes), "nodes of a graph"));
  cudaGraphExec_t executable = nullptr;
  DROVER_RETURN_IF_ERROR(
      Checked(cudaGraphInstantiate(&executable, recording.graph, 0), "making a graph executable"));
  return GpuGraph(executable, stream.device(), nodes);
}

GpuGraph::~GpuGraph() {
  if (handle_ != nullptr) (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(handle_));
}

Status GpuGraph::Launch(const GpuStream& stream) const {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  return Checked(cudaGraphLaunch(static_cast<cudaGraphExec_t>(handle_),
                                 static_cast<cudaStream_t>(stream.handle())),
                 "launch of a graph");
}

}  // namespace drover
