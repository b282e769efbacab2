#include "worker/nn/gpu_model_device.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace drover {
namespace {

Result<GpuModelDevice> Open(int index, const GpuModelParts& parts, const GpuModelPlan& plan,
                            const LayerSetting& setting, std::unique_ptr<GpuProducts> products) {
  Result<GpuStream> compute = GpuStream::Open(index);
  if (!compute.ok()) return compute.status();
  Result<GpuStream> downloads = GpuStream::Open(index);
  if (!downloads.ok()) return downloads.status();
  Result<DeviceBuffer<std::byte>> memory = DeviceBuffer<std::byte>::Make(index, plan.bytes.arena());
  if (!memory.ok()) return memory.status();
  // Between tensors it stays so: whole runs of sums are passed on.
  const uint64_t elements = parts.plan.layout.SpanElements(parts.plan.layout.all_blocks());
  DROVER_RETURN_IF_ERROR(
      ZeroBytes(compute.value(), memory.value().data() + plan.sums, elements * sizeof(int64_t)));
  Result<GpuBatches> batches = GpuBatches::Make(setting.micro_batch, parts.sizes, index,
                                                memory.value().data() + plan.batches);
  if (!batches.ok()) return batches.status();
  std::vector<GpuEvent> tensors;
  for (size_t i = 0; i < parts.plan.layout.tensors().size(); ++i) {
    Result<GpuEvent> event = GpuEvent::Make(index);
    if (!event.ok()) return event.status();
    tensors.push_back(std::move(event).value());
  }
  Result<DeviceBuffer<uint32_t>> bad = DeviceBuffer<uint32_t>::Make(index, tensors.size());
  if (!bad.ok()) return bad.status();
  Result<PinnedBuffer<uint32_t>> bad_on_host = PinnedBuffer<uint32_t>::Make(index, tensors.size());
  if (!bad_on_host.ok()) return bad_on_host.status();
  Result<DeviceBuffer<GpuBatchResult>> result = DeviceBuffer<GpuBatchResult>::Make(index, 1);
  if (!result.ok()) return result.status();
  return GpuModelDevice{.compute = std::move(compute).value(),
                        .downloads = std::move(downloads).value(),
                        .memory = std::move(memory).value(),
                        .batches = std::move(batches).value(),
                        .tensors = std::move(tensors),
                        .bad = std::move(bad).value(),
                        .bad_on_host = std::move(bad_on_host).value(),
                        .result = std::move(result).value(),
                        .products = std::move(products)};
}

// Says what would fit, for whoever must change the job. `taken`: what the model has already.
Status TooLarge(const Status& status, const GpuModelPlan& plan, int index,
                const NetworkSpec& network, const LayerSetting& setting, size_t taken,
                bool recompute) {
  if (status.code() != Code::kResourceExhausted) return status;
  std::string advice;
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (gpus.ok() && static_cast<size_t>(index) < gpus.value().size()) {
    const auto free = static_cast<size_t>(gpus.value()[static_cast<size_t>(index)].free_bytes);
    const Result<int64_t> fits = LargestMicroBatch(network, setting, free + taken, recompute);
    if (fits.ok() && fits.value() > 0) {
      advice = fmt::format("; micro_batch={} would fit", fits.value());
    }
  }
  return status.Annotate(fmt::format("the model needs {} with micro_batch={}{}", TextOf(plan.bytes),
                                     setting.micro_batch, advice));
}

}  // namespace

Result<GpuModelDevice> OpenGpuModelDevice(int index, const GpuModelParts& parts,
                                          const GpuModelPlan& plan, const NetworkSpec& network,
                                          const LayerSetting& setting,
                                          std::unique_ptr<GpuProducts> products,
                                          GpuWeightsInlet* inlet, bool recompute) {
  if (inlet != nullptr) {
    const Layout& layout = parts.plan.layout;
    const Status opened = inlet->Open(layout.SpanElements(layout.all_blocks()),
                                      ActivationType(setting.precision) == ValueType::kBf16);
    if (!opened.ok()) return TooLarge(opened, plan, index, network, setting, 0, recompute);
  }
  Result<GpuModelDevice> device = Open(index, parts, plan, setting, std::move(products));
  if (!device.ok()) {
    const size_t taken = inlet != nullptr ? plan.bytes.arriving : 0;
    return TooLarge(device.status(), plan, index, network, setting, taken, recompute);
  }
  return device;
}

}  // namespace drover
