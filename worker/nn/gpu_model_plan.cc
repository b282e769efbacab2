#include "worker/nn/gpu_model_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "worker/nn/gpu_batches.h"
#include "worker/nn/gpu_layer_table.h"
#include "worker/nn/gpu_weights_inlet.h"
#include "worker/nn/model.h"

namespace drover {
namespace {

constexpr int64_t kTensorElementsMax = (int64_t{1} << 31) - 1;  // See accumulate_gpu.h.

std::string Mebibytes(size_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

Result<GpuModelParts> MakeGpuModelParts(const NetworkSpec& network, const LayerSetting& setting,
                                        bool recompute) {
  DROVER_RETURN_IF_ERROR(CheckNetwork(network, setting.micro_batch));
  Result<std::unique_ptr<GpuChain>> chain =
      GpuChain::Make(network.layers, network.input, setting, recompute);
  if (!chain.ok()) return chain.status();
  const Dims output = chain.value()->output_dims();
  Result<std::unique_ptr<GpuHead>> head = MakeGpuHead(network.head, output, setting);
  if (!head.ok()) return head.status();
  std::vector<TensorSpec> uses = chain.value()->tensors();
  uses.insert(uses.end(), head.value()->tensors().begin(), head.value()->tensors().end());
  Result<TensorPlan> plan = PlanTensors(uses);
  if (!plan.ok()) return plan.status();
  for (const TensorSpec& tensor : plan.value().layout.tensors()) {
    if (ElementsOf(tensor.shape) <= kTensorElementsMax) continue;
    return Status(Code::kInvalidArgument,
                  fmt::format("{} has {} elements, expected at most {} on a GPU", tensor.name,
                              ElementsOf(tensor.shape), kTensorElementsMax));
  }
  return GpuModelParts{std::move(chain).value(), std::move(head).value(), std::move(plan).value(),
                       PaddedSizes(network, output)};
}

GpuModelPlan PlanGpuMemory(const GpuModelParts& parts, const NetworkSpec& network,
                           const LayerSetting& setting) {
  const bool is_bf16 = ActivationType(setting.precision) == ValueType::kBf16;
  const size_t value = BytesOf(ActivationType(setting.precision));
  const size_t elements = parts.plan.layout.SpanElements(parts.plan.layout.all_blocks());
  const auto rows = static_cast<size_t>(setting.micro_batch);
  size_t end = 0;
  const auto take = [&end](size_t bytes, size_t* sum) {
    const size_t begin = end;
    end += AlignedBytes(bytes);
    *sum += AlignedBytes(bytes);
    return begin;
  };
  GpuModelPlan plan;
  GpuModelBytes& bytes = plan.bytes;
  plan.weights = take(elements * sizeof(float), &bytes.weights);
  plan.rounded_weights = take(is_bf16 ? elements * sizeof(uint16_t) : 0, &bytes.weights);
  plan.gradient = take(elements * sizeof(float), &bytes.gradient);
  plan.sums = take(elements * sizeof(int64_t), &bytes.gradient);
  const bool rounds_input = is_bf16 && network.vocabulary == 0;
  plan.input =
      take(rounds_input ? rows * static_cast<size_t>(ElementsOf(network.input)) * value : 0,
           &bytes.activations);
  plan.kept = take(parts.chain->bytes().kept, &bytes.activations);
  plan.output_gradient =
      take(rows * static_cast<size_t>(ElementsOf(parts.chain->output_dims())) * value,
           &bytes.activations);
  plan.scratch =
      take(std::max(parts.chain->bytes().scratch, parts.head->scratch_bytes()), &bytes.scratch);
  plan.batches = take(GpuBatches::DeviceBytes(setting.micro_batch, parts.sizes), &bytes.batches);
  bytes.arriving = GpuWeightsInlet::DeviceBytes(elements, is_bf16);
  return plan;
}

std::string TextOf(const GpuModelBytes& bytes) {
  return fmt::format(
      "{} (weights {}, arriving {}, gradient {}, activations {}, scratch {}, batches {})",
      Mebibytes(bytes.total()), Mebibytes(bytes.weights), Mebibytes(bytes.arriving),
      Mebibytes(bytes.gradient), Mebibytes(bytes.activations), Mebibytes(bytes.scratch),
      Mebibytes(bytes.batches));
}

Result<int64_t> LargestMicroBatch(const NetworkSpec& network, const LayerSetting& setting,
                                  size_t bytes, bool recompute) {
  int64_t fits = 0;  // Needs grow with the micro-batch: bisection.
  int64_t too_large = setting.micro_batch + 1;
  while (too_large - fits > 1) {
    LayerSetting tried = setting;
    tried.micro_batch = fits + (too_large - fits) / 2;
    const Result<GpuModelParts> parts = MakeGpuModelParts(network, tried, recompute);
    if (!parts.ok()) return parts.status();
    const bool fit = PlanGpuMemory(parts.value(), network, tried).bytes.total() <= bytes;
    (fit ? fits : too_large) = tried.micro_batch;
  }
  return fits;
}

}  // namespace drover
