#include "worker/nn/gpu_memory.h"

#include <algorithm>

#include "worker/nn/gpu_model_plan.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatchMax = 65536;  // As of Model::Make.

}  // namespace

Result<GpuMemoryNeeds> GpuMemoryNeedsOf(const NetworkSpec& network, const LayerSetting& setting,
                                        int64_t leaf_samples, size_t free_bytes, bool recompute) {
  const Result<GpuModelParts> parts = MakeGpuModelParts(network, setting, recompute);
  if (!parts.ok()) return parts.status();
  const GpuModelBytes bytes = PlanGpuMemory(parts.value(), network, setting).bytes;
  LayerSetting most = setting;
  most.micro_batch = std::min(leaf_samples, kMicroBatchMax);
  const Result<int64_t> fits = LargestMicroBatch(network, most, free_bytes, recompute);
  if (!fits.ok()) return fits.status();
  int64_t divisor = fits.value();
  while (divisor > 0 && leaf_samples % divisor != 0) --divisor;
  return GpuMemoryNeeds{bytes.total(), TextOf(bytes), divisor};
}

}  // namespace drover
