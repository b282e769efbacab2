#include "server/shard/gpu_device.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/base/parse.h"
#include "common/base/quote.h"
#include "server/shard/gpu_gradient_sums.h"
#include "server/shard/gpu_weight_arrays.h"

namespace drover {
namespace {

constexpr std::string_view kCudaPrefix = "cuda:";
constexpr int64_t kGpuIndexMax = 1023;

}  // namespace

Result<std::shared_ptr<GpuDevice>> GpuDevice::Open(int device) {
  Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (!gpus.ok()) return gpus.status();
  for (GpuInfo& gpu : gpus.value()) {
    if (gpu.index == device) return std::shared_ptr<GpuDevice>(new GpuDevice(std::move(gpu)));
  }
  return Status(Code::kNotFound, fmt::format("no GPU {} here: there are {}, counted from 0", device,
                                             gpus.value().size()));
}

std::string GpuDevice::name() const { return fmt::format("{}{}", kCudaPrefix, info_.index); }

std::optional<ShardDevice::Memory> GpuDevice::ReadMemory() const {
  const Result<GpuMemoryUse> use = ReadGpuMemoryUse(info_.index);
  if (!use.ok()) return std::nullopt;
  return Memory{use.value().used, use.value().reserved, use.value().total};
}

Result<RangeArrays> GpuDevice::MakeRange(const PlaceOrder& place) const {
  Result<std::shared_ptr<GpuRange>> range = GpuRange::Make(info_.index, place);
  if (!range.ok()) return range.status();
  Result<std::unique_ptr<GpuGradientSums>> sums = GpuGradientSums::Make(range.value());
  if (!sums.ok()) return sums.status();
  Result<std::unique_ptr<GpuWeightArrays>> weights = GpuWeightArrays::Make(range.value());
  if (!weights.ok()) return weights.status();
  RangeArrays arrays;
  arrays.sums = std::move(sums).value();
  arrays.weights = std::move(weights).value();
  return arrays;
}

Result<std::shared_ptr<const ShardDevice>> OpenShardDevice(const std::string& name, int threads) {
  if (name == "cpu")
    return std::shared_ptr<const ShardDevice>(std::make_shared<HostDevice>(threads));
  const bool is_cuda = name.starts_with(kCudaPrefix);
  const Result<int64_t> index = ParseInt(is_cuda ? name.substr(kCudaPrefix.size()) : "");
  if (!is_cuda || !index.ok() || index.value() < 0 || index.value() > kGpuIndexMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("device {}: expected cpu, or cuda:N for GPU N", Quote(name)));
  }
  Result<std::shared_ptr<GpuDevice>> gpu = GpuDevice::Open(static_cast<int>(index.value()));
  if (!gpu.ok()) return gpu.status();
  LogInfo("device {}: {}, {} multiprocessors, {} of {} MiB free", name, gpu.value()->info().name,
          gpu.value()->info().multiprocessors, gpu.value()->info().free_bytes >> 20,
          gpu.value()->info().total_bytes >> 20);
  return std::shared_ptr<const ShardDevice>(std::move(gpu).value());
}

}  // namespace drover
