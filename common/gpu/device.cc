#include "common/gpu/device.h"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <array>
#include <atomic>

#include "common/gpu/cuda_build.h"
#include "common/gpu/cuda_status.h"

namespace drover {
namespace {

cudaStream_t Native(const GpuStream& stream) { return static_cast<cudaStream_t>(stream.handle()); }

// Why CUDA finds no GPU. A driver that is missing and one that is too old are one error code to the
// runtime; the driver's version, 0 without one, tells them apart.
Status WhyNoGpu(cudaError_t error) {
  int driver = 0;
  int runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  if (driver == 0) {
    return CudaStatus(cudaErrorInsufficientDriver,
                      "no NVIDIA driver: libcuda.so.1 was not found. Install the driver "
                      "(nvidia-smi must work); a container also needs --gpus all");
  }
  if (error == cudaErrorInsufficientDriver) {
    return CudaStatus(
        error, fmt::format("the NVIDIA driver is too old: it runs CUDA up to {}, this program was "
                           "built with {}. Update the driver",
                           CudaVersionName(driver), CudaVersionName(runtime)));
  }
  return CudaStatus(error == cudaSuccess ? cudaErrorNoDevice : error,
                    fmt::format("no GPU: the driver for CUDA {} is there, but offers this process "
                                "none. See nvidia-smi; a container needs --gpus all",
                                CudaVersionName(driver)));
}

Result<int> CountGpus() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  (void)cudaGetLastError();  // Else the next launch would report it.
  return WhyNoGpu(error);
}

// Makes `device` current for the calling thread. The plain case is one cheap call; only its failure
// looks for the reason.
Status SetDevice(int device) {
  const cudaError_t error = cudaSetDevice(device);
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  Result<int> count = CountGpus();
  if (!count.ok()) return count.status();
  if (device >= 0 && device < count.value())
    return CudaStatus(error, fmt::format("GPU {}", device));
  return Status(Code::kInvalidArgument,
                fmt::format("no GPU {}: there are {}, counted from 0", device, count.value()));
}

// As CudaStatus, and the thread's last error is cleared, so that no later launch reports it.
Status Checked(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  return CudaStatus(error, what);
}

Result<bool> IsDone(cudaError_t error, const char* what) {
  if (error == cudaErrorNotReady) {
    (void)cudaGetLastError();
    return false;
  }
  if (error == cudaSuccess) return true;
  return Checked(error, what);
}

// Bytes of GpuMemory on a device.
std::atomic<int64_t>& ReservedOf(int device) {
  static std::array<std::atomic<int64_t>, 64> reserved;  // More GPUs than a machine has.
  return reserved[static_cast<size_t>(device) % reserved.size()];
}

Result<GpuInfo> Describe(int device) {
  DROVER_RETURN_IF_ERROR(SetDevice(device));
  GpuInfo info;
  info.index = device;
  cudaDeviceProp properties;
  DROVER_RETURN_IF_ERROR(Checked(cudaGetDeviceProperties(&properties, device),
                                 fmt::format("properties of GPU {}", device)));
  info.name = properties.name;
  info.compute_major = properties.major;
  info.compute_minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.l2_bytes = properties.l2CacheSize;
  int clock_khz = 0;
  if (cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, device) == cudaSuccess) {
    info.clock_hz = int64_t{clock_khz} * 1000;
  } else {
    (void)cudaGetLastError();
  }
  size_t free = 0;
  size_t total = 0;
  DROVER_RETURN_IF_ERROR(
      Checked(cudaMemGetInfo(&free, &total), fmt::format("free memory of GPU {}", device)));
  info.free_bytes = static_cast<int64_t>(free);
  info.total_bytes = static_cast<int64_t>(total);
  DROVER_RETURN_IF_ERROR(Checked(cudaDriverGetVersion(&info.driver_version), "driver's version"));
  DROVER_RETURN_IF_ERROR(
      Checked(cudaRuntimeGetVersion(&info.runtime_version), "runtime's version"));
  return info;
}

Status Copy(const GpuStream& stream, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
            const char* direction) {
  if (bytes == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, Native(stream));
  if (error == cudaSuccess) return Status();
  return Checked(error,
                 fmt::format("copy of {} bytes {} GPU {}", bytes, direction, stream.device()));
}

}  // namespace

bool HasGpuBackend() { return true; }

std::string CudaOfBuild() {
  int version = 0;
  (void)cudaRuntimeGetVersion(&version);
  return CudaVersionName(version);
}

Result<std::vector<GpuInfo>> ListGpus() {
  Result<int> count = CountGpus();
  if (!count.ok()) return count.status();
  std::vector<GpuInfo> gpus;
  for (int device = 0; device < count.value(); ++device) {
    Result<GpuInfo> info = Describe(device);
    if (!info.ok()) return info.status();
    gpus.push_back(std::move(info).value());
  }
  return gpus;
}

Result<GpuMemoryUse> ReadGpuMemoryUse(int device) {
  DROVER_RETURN_IF_ERROR(SetDevice(device));
  size_t free = 0;
  size_t total = 0;
  DROVER_RETURN_IF_ERROR(
      Checked(cudaMemGetInfo(&free, &total), fmt::format("free memory of GPU {}", device)));
  GpuMemoryUse use;
  use.used = static_cast<int64_t>(total - free);
  use.reserved = ReservedOf(device).load(std::memory_order_relaxed);
  use.total = static_cast<int64_t>(total);
  return use;
}

Result<GpuStream> GpuStream::Open(int device) {
  DROVER_RETURN_IF_ERROR(SetDevice(device));
  cudaStream_t stream = nullptr;
  DROVER_RETURN_IF_ERROR(Checked(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                                 fmt::format("new stream on GPU {}", device)));
  return GpuStream(stream, device);
}

GpuStream::~GpuStream() {
  if (handle_ != nullptr) (void)cudaStreamDestroy(static_cast<cudaStream_t>(handle_));
}

Status GpuStream::MakeCurrent() const { return SetDevice(device_); }

Status GpuStream::Wait() const {
  DROVER_RETURN_IF_ERROR(MakeCurrent());
  return Checked(cudaStreamSynchronize(Native(*this)), fmt::format("work on GPU {}", device_));
}

Result<bool> GpuStream::Done() const {
  DROVER_RETURN_IF_ERROR(MakeCurrent());
  return IsDone(cudaStreamQuery(Native(*this)), "work in a stream");
}

Result<GpuEvent> GpuEvent::Make(int device, Timing timing) {
  DROVER_RETURN_IF_ERROR(SetDevice(device));
  const unsigned int flags = timing == Timing::kOn ? cudaEventDefault : cudaEventDisableTiming;
  cudaEvent_t event = nullptr;
  DROVER_RETURN_IF_ERROR(
      Checked(cudaEventCreateWithFlags(&event, flags), fmt::format("new event on GPU {}", device)));
  return GpuEvent(event, device);
}

GpuEvent::~GpuEvent() {
  if (handle_ != nullptr) (void)cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
}

Status GpuEvent::Record(const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  return Checked(cudaEventRecord(static_cast<cudaEvent_t>(handle_), Native(stream)),
                 fmt::format("mark in a stream of GPU {}", stream.device()));
}

Status GpuEvent::Hold(const GpuStream& stream) const {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  return Checked(cudaStreamWaitEvent(Native(stream), static_cast<cudaEvent_t>(handle_), 0),
                 fmt::format("wait of a stream of GPU {} for GPU {}", stream.device(), device_));
}

Status GpuEvent::Wait() const {
  DROVER_RETURN_IF_ERROR(SetDevice(device_));
  return Checked(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)),
                 fmt::format("work on GPU {} before a mark", device_));
}

Result<bool> GpuEvent::Done() const {
  DROVER_RETURN_IF_ERROR(SetDevice(device_));
  return IsDone(cudaEventQuery(static_cast<cudaEvent_t>(handle_)), "work before a mark");
}

Result<double> GpuEvent::Milliseconds(const GpuEvent& begin, const GpuEvent& end) {
  DROVER_RETURN_IF_ERROR(SetDevice(begin.device_));
  float milliseconds = 0.0f;
  DROVER_RETURN_IF_ERROR(
      Checked(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(begin.handle_),
                                   static_cast<cudaEvent_t>(end.handle_)),
              "time between two marks (both need Timing::kOn, and to be reached)"));
  return double{milliseconds};
}

Result<GpuMemory> GpuMemory::Make(GpuMemoryKind kind, int device, size_t bytes) {
  DROVER_RETURN_IF_ERROR(SetDevice(device));
  GpuMemory memory;
  memory.kind_ = kind;
  memory.device_ = device;
  if (bytes == 0) return memory;
  const bool pinned = kind == GpuMemoryKind::kPinned;
  const cudaError_t error = pinned ? cudaHostAlloc(&memory.data_, bytes, cudaHostAllocPortable)
                                   : cudaMalloc(&memory.data_, bytes);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    memory.data_ = nullptr;
    if (pinned) return CudaStatus(error, fmt::format("{} bytes of pinned host memory", bytes));
    size_t free = 0;
    size_t total = 0;
    const bool known = cudaMemGetInfo(&free, &total) == cudaSuccess;
    return CudaStatus(error, fmt::format("{} bytes on GPU {} ({} of {} are free)", bytes, device,
                                         known ? std::to_string(free) : "?",
                                         known ? std::to_string(total) : "?"));
  }
  memory.bytes_ = bytes;
  if (!pinned) ReservedOf(device) += static_cast<int64_t>(bytes);
  return memory;
}

GpuMemory::~GpuMemory() {
  if (data_ == nullptr) return;
  if (kind_ == GpuMemoryKind::kPinned) {
    (void)cudaFreeHost(data_);
  } else {
    (void)cudaFree(data_);
    ReservedOf(device_) -= static_cast<int64_t>(bytes_);
  }
}

Status CopyBytesToDevice(const GpuStream& stream, void* device, const void* host, size_t bytes) {
  return Copy(stream, device, host, bytes, cudaMemcpyHostToDevice, "from the host to");
}

Status CopyBytesToHost(const GpuStream& stream, void* host, const void* device, size_t bytes) {
  return Copy(stream, host, device, bytes, cudaMemcpyDeviceToHost, "to the host from");
}

Status CopyBytesOnDevice(const GpuStream& stream, void* to, const void* from, size_t bytes) {
  return Copy(stream, to, from, bytes, cudaMemcpyDeviceToDevice, "on");
}

Status ZeroBytes(const GpuStream& stream, void* device, size_t bytes) {
  if (bytes == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const cudaError_t error = cudaMemsetAsync(device, 0, bytes, Native(stream));
  if (error == cudaSuccess) return Status();
  return Checked(error, fmt::format("zeroing {} bytes on GPU {}", bytes, stream.device()));
}

}  // namespace drover
