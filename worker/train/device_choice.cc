#include "worker/train/device_choice.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "common/base/logging.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/products.h"
#include "worker/train/gpu_memory_report.h"
#include "worker/train/gpu_peak_flops.h"
#include "worker/train/host_inlet.h"

namespace drover {
namespace {

// What a job says of GPUs.
struct GpuChoice {
  GpuArithmetic arithmetic = GpuArithmetic::kF32;
  bool tf32 = false;
  bool recompute = false;
};

// Whoever may not pin so much (ulimit -l) still computes, with copies that take the host's time.
std::shared_ptr<std::byte> PinnedMemory(int device, size_t bytes) {
  Result<PinnedBuffer<std::byte>> pinned = PinnedBuffer<std::byte>::Make(device, bytes);
  if (!pinned.ok()) {
    LogWarning("copies to and from the GPU will be slow: {}", pinned.status().message());
    return PlainHostMemory(bytes);
  }
  auto owner = std::make_shared<PinnedBuffer<std::byte>>(std::move(pinned).value());
  return {owner, owner->data()};
}

LeafModelMaker LaneOf(const GpuInfo& gpu, const GpuChoice& choice,
                      std::shared_ptr<GpuWeightsInlet> inlet) {
  return [index = gpu.index, choice, inlet](
             const NetworkSpec& network,
             const LayerSetting& setting) -> Result<std::unique_ptr<LeafModel>> {
    Result<std::unique_ptr<GpuProducts>> products = MakeProducts(index, choice.tf32);
    if (!products.ok()) return products.status();
    return MakeGpuLeafModel(index, std::move(products).value(), network, setting, inlet,
                            choice.recompute);
  };
}

GpuArithmetic ArithmeticOf(const v1::JobSpec& spec) {
  switch (spec.precision()) {
    case v1::JobSpec::PRECISION_TF32:
      return GpuArithmetic::kTf32;
    case v1::JobSpec::PRECISION_BF16:
      return GpuArithmetic::kBf16;
    default:
      return GpuArithmetic::kF32;
  }
}

// GPUs that do not answer just now are left out.
std::vector<DeviceMemory> MemoryOf(const std::vector<GpuInfo>& gpus) {
  std::vector<DeviceMemory> memory;
  for (const GpuInfo& gpu : gpus) {
    const Result<GpuMemoryUse> use = ReadGpuMemoryUse(gpu.index);
    if (!use.ok()) continue;
    memory.push_back({fmt::format("cuda:{}", gpu.index), use.value().used, use.value().reserved,
                      use.value().total});
  }
  return memory;
}

Result<ComputeDevice> OnGpus(const std::vector<GpuInfo>& gpus, const GpuChoice& choice) {
  const GpuInfo& first = gpus.front();
  // Made to be asked its name, and whether the library is there at all.
  const Result<std::unique_ptr<GpuProducts>> products = MakeProducts(first.index, choice.tf32);
  if (!products.ok()) return products.status();
  ComputeDevice device;
  device.name = first.name;
  device.numeric_class = fmt::format("cuda {} sm_{}{} {}", first.name, first.compute_major,
                                     first.compute_minor, products.value()->name());
  std::vector<std::shared_ptr<GpuWeightsInlet>> inlets;
  for (const GpuInfo& gpu : gpus) {
    if (gpu.name != first.name) {
      return Status(Code::kFailedPrecondition,
                    fmt::format("GPU 0 is a {}, GPU {} a {}: one worker computes on GPUs of one "
                                "kind; hide the others with CUDA_VISIBLE_DEVICES",
                                first.name, gpu.index, gpu.name));
    }
    auto inlet = MakeGpuWeightsInlet(gpu.index);
    device.lanes.push_back(LaneOf(gpu, choice, inlet));
    device.inlets.push_back(inlet);
    inlets.push_back(std::move(inlet));
  }
  device.memory_report = [room = RoomOf(gpus)](const JobSetup& setup) {
    const Result<GpuMemoryReport> report = ReportGpuMemory(setup, room);
    return report.ok() ? report.value().text : report.status().message();
  };
  device.peak_flops =
      GpuPeakFlops(first, choice.arithmetic).value_or(0.0) * static_cast<double>(gpus.size());
  device.read_memory = [gpus] { return MemoryOf(gpus); };
  if (gpus.size() > 1) {
    std::vector<int> devices;
    for (const GpuInfo& gpu : gpus) devices.push_back(gpu.index);
    device.make_reduce = [devices](const Layout& layout) {
      return MakeHostReduce(devices, layout);
    };
    device.make_shared_inlet = [inlets](std::shared_ptr<HostReduce> host, uint64_t elements) {
      return std::make_shared<HostInlet>(inlets, std::move(host), elements);
    };
  }
  device.host_memory = [index = first.index](size_t bytes) { return PinnedMemory(index, bytes); };
  return device;
}

Result<ComputeDevice> FindGpus(const GpuChoice& choice) {
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (!gpus.ok()) return gpus.status();
  return OnGpus(gpus.value(), choice);
}

Result<ComputeDevice> Choose(const v1::JobSpec& spec, uint32_t cpu_lanes) {
  if (spec.device() == v1::JobSpec::DEVICE_CPU) return OnlyCpu(cpu_lanes)(spec);
  Result<ComputeDevice> gpus = FindGpus({.arithmetic = ArithmeticOf(spec),
                                         .tf32 = spec.precision() == v1::JobSpec::PRECISION_TF32,
                                         .recompute = spec.numerics().recompute()});
  if (gpus.ok()) return gpus;
  if (spec.device() == v1::JobSpec::DEVICE_CUDA) return gpus.status().Annotate("device: cuda");
  LogInfo("device: auto: computing on the CPU, because {}", gpus.status().message());
  return OnlyCpu(cpu_lanes)(spec);
}

}  // namespace

DeviceChooser GpusElseCpu(uint32_t cpu_lanes) {
  return [cpu_lanes](const v1::JobSpec& spec) { return Choose(spec, cpu_lanes); };
}

}  // namespace drover
