#include "worker/train/device_choice.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/logging.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/products.h"

namespace drover {
namespace {

LeafModelMaker LaneOf(const GpuInfo& gpu, bool tf32) {
  return
      [index = gpu.index, tf32](const NetworkSpec& network,
                                const LayerSetting& setting) -> Result<std::unique_ptr<LeafModel>> {
        Result<std::unique_ptr<GpuProducts>> products = MakeProducts(index, tf32);
        if (!products.ok()) return products.status();
        return MakeGpuLeafModel(index, std::move(products).value(), network, setting);
      };
}

Result<ComputeDevice> OnGpus(const std::vector<GpuInfo>& gpus, bool tf32) {
  const GpuInfo& first = gpus.front();
  // Made to be asked its name, and whether the library is there at all.
  const Result<std::unique_ptr<GpuProducts>> products = MakeProducts(first.index, tf32);
  if (!products.ok()) return products.status();
  ComputeDevice device;
  device.name = first.name;
  device.numeric_class = fmt::format("cuda {} sm_{}{} {}", first.name, first.compute_major,
                                     first.compute_minor, products.value()->name());
  for (const GpuInfo& gpu : gpus) {
    if (gpu.name != first.name) {
      return Status(Code::kFailedPrecondition,
                    fmt::format("GPU 0 is a {}, GPU {} a {}: one worker computes on GPUs of one "
                                "kind; hide the others with CUDA_VISIBLE_DEVICES",
                                first.name, gpu.index, gpu.name));
    }
    device.lanes.push_back(LaneOf(gpu, tf32));
  }
  return device;
}

Result<ComputeDevice> FindGpus(bool tf32) {
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (!gpus.ok()) return gpus.status();
  return OnGpus(gpus.value(), tf32);
}

Result<ComputeDevice> Choose(const v1::JobSpec& spec, uint32_t cpu_lanes) {
  if (spec.device() == v1::JobSpec::DEVICE_CPU) return OnlyCpu(cpu_lanes)(spec);
  Result<ComputeDevice> gpus = FindGpus(spec.precision() == v1::JobSpec::PRECISION_TF32);
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
