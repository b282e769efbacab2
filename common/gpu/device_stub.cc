// Stands in for device.cc and graph.cc where there is no CUDA toolkit. Nothing here can succeed, so
// no object other than an empty one ever exists.

#include "common/gpu/cuda_build.h"
#include "common/gpu/device.h"

namespace drover {
namespace {

Status NoCuda() {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace

bool HasGpuBackend() { return false; }
std::string CudaOfBuild() { return "none"; }
Result<std::vector<GpuInfo>> ListGpus() { return NoCuda(); }
Result<GpuMemoryUse> ReadGpuMemoryUse(int) { return NoCuda(); }

Result<GpuStream> GpuStream::Open(int) { return NoCuda(); }
GpuStream::~GpuStream() = default;
Status GpuStream::MakeCurrent() const { return NoCuda(); }
Status GpuStream::Wait() const { return NoCuda(); }
Result<bool> GpuStream::Done() const { return NoCuda(); }

Result<GpuEvent> GpuEvent::Make(int, Timing) { return NoCuda(); }
GpuEvent::~GpuEvent() = default;
Status GpuEvent::Record(const GpuStream&) { return NoCuda(); }
Status GpuEvent::Hold(const GpuStream&) const { return NoCuda(); }
Status GpuEvent::Wait() const { return NoCuda(); }
Result<bool> GpuEvent::Done() const { return NoCuda(); }
Result<double> GpuEvent::Milliseconds(const GpuEvent&, const GpuEvent&) { return NoCuda(); }

Result<GpuMemory> GpuMemory::Make(GpuMemoryKind, int, size_t) { return NoCuda(); }
GpuMemory::~GpuMemory() = default;

Status CopyBytesToDevice(const GpuStream&, void*, const void*, size_t) { return NoCuda(); }
Status CopyBytesToHost(const GpuStream&, void*, const void*, size_t) { return NoCuda(); }
Status CopyBytesOnDevice(const GpuStream&, void*, const void*, size_t) { return NoCuda(); }
Status ZeroBytes(const GpuStream&, void*, size_t) { return NoCuda(); }

Result<GpuGraph> GpuGraph::Capture(const GpuStream&, const std::function<Status()>&) {
  return NoCuda();
}
GpuGraph::~GpuGraph() = default;
Status GpuGraph::Launch(const GpuStream&) const { return NoCuda(); }

}  // namespace drover
