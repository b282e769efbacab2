// GPUs as plain C++: which there are, streams, events, memory and copies. No CUDA header is needed
// to use it, and a program that links it starts on machines without a driver: nothing is asked of
// CUDA before the first call. Kernels are not here; a launcher takes a GpuStream and its handle().
//
// Two builds have this interface: device.cc calls the CUDA runtime, device_stub.cc stands in where
// there is no toolkit and answers every call with kUnimplemented.
//
// Every call may be made from any thread, but one object belongs to one thread at a time. Objects
// of one device go together: a copy or wait that mixes devices is the caller's mistake unless said
// otherwise. Statuses carry what was asked and what the runtime said, e.g.
//   RESOURCE_EXHAUSTED: 4294967296 bytes on GPU 0 (1073741824 of 85899345920 are free):
//   cudaErrorMemoryAllocation: out of memory

#ifndef DROVER_COMMON_GPU_DEVICE_H_
#define DROVER_COMMON_GPU_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/status.h"

namespace drover {

struct GpuInfo {
  int index = 0;     // What Open and Make take as `device`.
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int compute_major = 0;
  int compute_minor = 0;
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;
  int multiprocessors = 0;
  int64_t clock_hz = 0;  // The highest one of its multiprocessors; 0: the driver does not say.
  int64_t l2_bytes = 0;
  int driver_version = 0;   // 1000 * major + 10 * minor of the newest CUDA that the driver runs.
  int runtime_version = 0;  // Likewise, of the CUDA that this program was built with.
};

// "13.0" for 13000.
std::string CudaVersionName(int version);

// True for the build with CUDA; says nothing about this machine.
bool HasGpuBackend();

// All GPUs that this process may use, at least one; opens a context on each. Errors:
// kFailedPrecondition when there is no driver or one too old, kNotFound when there is a driver but
// no GPU, kUnimplemented when the build has no CUDA; the message says what to do.
Result<std::vector<GpuInfo>> ListGpus();

// Bytes of a GPU's memory.
struct GpuMemoryUse {
  int64_t used = 0;      // By all programs, as the driver counts.
  int64_t reserved = 0;  // By the buffers of this program.
  int64_t total = 0;
};
// Errors as ListGpus; opens a context, so ask only about GPUs that are in use.
Result<GpuMemoryUse> ReadGpuMemoryUse(int device);

// Work in order on one device; does not wait for work of other streams, the default one included.
// Empty after a move.
class GpuStream {
 public:
  // kInvalidArgument when there is no such device; else as ListGpus.
  static Result<GpuStream> Open(int device);
  GpuStream(GpuStream&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), device_(other.device_) {}
  GpuStream& operator=(GpuStream&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(device_, other.device_);
    return *this;
  }
  ~GpuStream();  // What was enqueued still runs.

  int device() const { return device_; }
  // The cudaStream_t, for launches and NCCL.
  void* handle() const { return handle_; }

  // Makes device() the current one of the calling thread, as a launch needs. All calls of this
  // header do so by themselves.
  Status MakeCurrent() const;
  // Blocks until everything enqueued so far is done; the error of whatever failed, a kernel
  // included.
  Status Wait() const;
  // Whether everything enqueued so far is done; never blocks.
  Result<bool> Done() const;

 private:
  GpuStream(void* handle, int device) : handle_(handle), device_(device) {}

  void* handle_ = nullptr;
  int device_ = 0;
};

// A mark in a stream, for other streams or the host to wait for.
class GpuEvent {
 public:
  enum class Timing { kOff, kOn };  // With kOn, recording costs a little more.

  static Result<GpuEvent> Make(int device, Timing timing = Timing::kOff);
  GpuEvent(GpuEvent&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), device_(other.device_) {}
  GpuEvent& operator=(GpuEvent&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(device_, other.device_);
    return *this;
  }
  ~GpuEvent();

  // Marks what is enqueued in `stream` so far, in place of the mark before. Same device.
  Status Record(const GpuStream& stream);
  // What is enqueued in `stream` from now on waits for the mark; any device. Never blocks the host.
  // An event that was never recorded counts as done, here and below.
  Status Hold(const GpuStream& stream) const;
  // Blocks the host until the mark is reached.
  Status Wait() const;
  Result<bool> Done() const;
  // Milliseconds on the device between two marks that are reached; both events with Timing::kOn.
  static Result<double> Milliseconds(const GpuEvent& begin, const GpuEvent& end);

 private:
  GpuEvent(void* handle, int device) : handle_(handle), device_(device) {}

  void* handle_ = nullptr;
  int device_ = 0;
};

// Bytes of a device, or of the host at an address that a copy engine can read and write by itself.
// Not zeroed. Freeing waits for the device: keep memory for as long as its job runs.
enum class GpuMemoryKind { kDevice, kPinned };
class GpuMemory {
 public:
  GpuMemory() = default;
  // kResourceExhausted with the bytes that were asked for and those that are free. 0 bytes are
  // null.
  static Result<GpuMemory> Make(GpuMemoryKind kind, int device, size_t bytes);
  GpuMemory(GpuMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        kind_(other.kind_),
        device_(other.device_) {}
  GpuMemory& operator=(GpuMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(kind_, other.kind_);
    std::swap(device_, other.device_);
    return *this;
  }
  ~GpuMemory();

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  int device() const { return device_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  GpuMemoryKind kind_ = GpuMemoryKind::kDevice;
  int device_ = 0;
};

// An array of T in memory of one kind. data() of a DeviceBuffer is an address of the device: for
// kernels and copies, not to be read here.
template <typename T, GpuMemoryKind kKind>
class GpuBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  GpuBuffer() = default;
  static Result<GpuBuffer> Make(int device, size_t size) {
    DROVER_CHECK(size <= SIZE_MAX / sizeof(T));
    Result<GpuMemory> memory = GpuMemory::Make(kKind, device, size * sizeof(T));
    if (!memory.ok()) return memory.status();
    return GpuBuffer(std::move(memory).value(), size);
  }

  T* data() const { return static_cast<T*>(memory_.data()); }
  size_t size() const { return size_; }
  size_t bytes() const { return memory_.bytes(); }
  int device() const { return memory_.device(); }
  std::span<T> span() const { return {data(), size_}; }

 private:
  GpuBuffer(GpuMemory memory, size_t size) : memory_(std::move(memory)), size_(size) {}

  GpuMemory memory_;
  size_t size_ = 0;
};
template <typename T>
using DeviceBuffer = GpuBuffer<T, GpuMemoryKind::kDevice>;
template <typename T>
using PinnedBuffer = GpuBuffer<T, GpuMemoryKind::kPinned>;

// Copies in the order of `stream`, on its device; they return before the copy is done. Both ends
// must stay until then. Host memory that is not pinned works, but the call may block.
Status CopyBytesToDevice(const GpuStream& stream, void* device, const void* host, size_t bytes);
Status CopyBytesToHost(const GpuStream& stream, void* host, const void* device, size_t bytes);
Status CopyBytesOnDevice(const GpuStream& stream, void* to, const void* from, size_t bytes);
// Every byte becomes 0.
Status ZeroBytes(const GpuStream& stream, void* device, size_t bytes);

template <typename T>
Status CopyToDevice(const GpuStream& stream, std::type_identity_t<std::span<const T>> host,
                    T* device) {
  return CopyBytesToDevice(stream, device, host.data(), host.size_bytes());
}
template <typename T>
Status CopyToHost(const GpuStream& stream, const T* device,
                  std::type_identity_t<std::span<T>> host) {
  return CopyBytesToHost(stream, host.data(), device, host.size_bytes());
}

// What a function enqueued, recorded once and launched as one piece as often as wanted. Addresses
// and sizes are those of the recording; what the memory holds may change in between.
class GpuGraph {
 public:
  // Runs `enqueue` while `stream` records: nothing of it happens on the device yet. It must use
  // that stream only (others may join it through events), must not wait, and must not allocate. Its
  // error is passed on, and the stream is usable again in any case.
  static Result<GpuGraph> Capture(const GpuStream& stream, const std::function<Status()>& enqueue);
  GpuGraph(GpuGraph&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)),
        device_(other.device_),
        node_count_(other.node_count_) {}
  GpuGraph& operator=(GpuGraph&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(device_, other.device_);
    std::swap(node_count_, other.node_count_);
    return *this;
  }
  ~GpuGraph();

  // Kernels, copies and clears recorded, one each.
  size_t node_count() const { return node_count_; }
  // Enqueues all of it in `stream`, a stream of the same device.
  Status Launch(const GpuStream& stream) const;

 private:
  GpuGraph(void* handle, int device, size_t node_count)
      : handle_(handle), device_(device), node_count_(node_count) {}

  void* handle_ = nullptr;
  int device_ = 0;
  size_t node_count_ = 0;
};

}  // namespace drover

#endif  // DROVER_COMMON_GPU_DEVICE_H_
