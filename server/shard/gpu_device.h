// ShardDevice of one GPU: everything of a range lies there, and the CPU keeps what is served and
// logged. The same bits as HostDevice. Thread-safe: immutable.

#ifndef DROVER_SERVER_SHARD_GPU_DEVICE_H_
#define DROVER_SERVER_SHARD_GPU_DEVICE_H_

#include <memory>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "server/shard/shard_device.h"

namespace drover {

class GpuDevice : public ShardDevice {
 public:
  // As ListGpus; kNotFound when there is no GPU of this index, with those that are there.
  static Result<std::shared_ptr<GpuDevice>> Open(int device);
  Result<RangeArrays> MakeRange(const PlaceOrder& place) const override;
  std::string name() const override;
  std::optional<Memory> ReadMemory() const override;

  const GpuInfo& info() const { return info_; }

 private:
  explicit GpuDevice(GpuInfo info) : info_(std::move(info)) {}
  const GpuInfo info_;
};

// The device of a flag: "cpu", or "cuda:N" for GPU N. `threads`: of HostDevice.
Result<std::shared_ptr<const ShardDevice>> OpenShardDevice(const std::string& name, int threads);

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_GPU_DEVICE_H_
