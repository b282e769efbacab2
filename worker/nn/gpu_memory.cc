#include "worker/nn/gpu_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "worker/nn/gpu_model_plan.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatchMax = 65536;  // As of Model::Make.

}  // namespace

Result<GpuMemoryNeeds> GpuMemoryNeedsOf(const NetworkSpec& network, const LayerSetting& setting,
                                        int64_t leaf_samples, const GpuRoom& room, bool recompute) {
  const Result<GpuModelParts> parts = MakeGpuModelParts(network, setting, recompute);
  if (!parts.ok()) return parts.status();
  const GpuModelBytes bytes = PlanGpuMemory(parts.value(), network, setting).bytes;
  const Layout& layout = parts.value().plan.layout;
  // worker/comm/local_reduce.h, but for its padding.
  const size_t exchanged =
      room.gpus > 1 ? layout.SpanElements(layout.all_blocks()) * sizeof(int64_t) : 0;
  const size_t left = room.free_bytes - std::min(room.free_bytes, exchanged);
  LayerSetting most = setting;
  most.micro_batch = std::min(leaf_samples, kMicroBatchMax);
  const Result<int64_t> fits = LargestMicroBatch(network, most, left, recompute);
  if (!fits.ok()) return fits.status();
  int64_t divisor = fits.value();
  while (divisor > 0 && leaf_samples % divisor != 0) --divisor;
  std::string text = TextOf(bytes);
  if (exchanged > 0) {
    text += fmt::format(" and {:.1f} MiB for the sums of {} GPUs",
                        static_cast<double>(exchanged) / (1 << 20), room.gpus);
  }
  return GpuMemoryNeeds{bytes.total() + exchanged, std::move(text), divisor};
}

}  // namespace drover
