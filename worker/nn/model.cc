#include "worker/nn/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "worker/nn/layer_table.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatchMax = 65536;
constexpr int64_t kInputSizeMax = int64_t{1} << 20;
constexpr size_t kLayersMax = 1000;  // Nested ones included.
constexpr size_t kNestingMax = 8;

struct Extent {
  size_t layers = 0;
  size_t nesting = 0;  // Residual blocks inside each other.
};

Extent ExtentOf(const std::vector<LayerSpec>& layers) {
  Extent extent = {.layers = layers.size(), .nesting = 0};
  for (const LayerSpec& layer : layers) {
    const auto* const residual = std::get_if<ResidualSpec>(&layer.kind);
    if (residual == nullptr) continue;
    const Extent inner = ExtentOf(residual->layers);
    extent.layers += inner.layers;
    extent.nesting = std::max(extent.nesting, inner.nesting + 1);
  }
  return extent;
}

}  // namespace

Status CheckNetwork(const NetworkSpec& network, int64_t micro_batch) {
  if (micro_batch < 1 || micro_batch > kMicroBatchMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("micro_batch={}, expected 1 to {}", micro_batch, kMicroBatchMax));
  }
  const bool positive = std::ranges::all_of(
      network.input, [](int64_t extent) { return extent >= 1 && extent <= kInputSizeMax; });
  if (network.input.empty() || network.input.size() > 3 || !positive ||
      ElementsOf(network.input) > kInputSizeMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("input {}, expected 1 to 3 extents of at most {} values in all",
                              DimsText(network.input), kInputSizeMax));
  }
  const Extent extent = ExtentOf(network.layers);
  if (extent.layers > kLayersMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} layers, expected at most {}", extent.layers, kLayersMax));
  }
  if (extent.nesting > kNestingMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} residual blocks inside each other, expected at most {}",
                              extent.nesting, kNestingMax));
  }
  // Nothing else reads tokens, and an embedding reads nothing else.
  for (size_t i = 0; i < std::max<size_t>(network.layers.size(), 1); ++i) {
    const bool embeds =
        i < network.layers.size() && std::holds_alternative<EmbeddingSpec>(network.layers[i].kind);
    const bool reads_tokens = i == 0 && network.vocabulary > 0;
    if (embeds == reads_tokens) continue;
    return Status(Code::kInvalidArgument,
                  embeds ? fmt::format("layer {}: an embedding, expected only as the first layer, "
                                       "and only on tokens: is the dataset text?",
                                       i + 1)
                         : "the dataset is text, expected an embedding as the first layer");
  }
  return Status();
}

PaddedBatch::Sizes PaddedSizes(const NetworkSpec& network, const Dims& output) {
  const bool text = network.vocabulary > 0;
  return {.inputs = text ? 0 : ElementsOf(network.input),
          .tokens = text ? ElementsOf(network.input) : 0,
          .masked = network.predictions,
          .targets = std::holds_alternative<MeanSquaredErrorSpec>(network.head.kind)
                         ? ElementsOf(output)
                         : 0};
}

Result<std::unique_ptr<Model>> Model::Make(const NetworkSpec& network,
                                           const LayerSetting& setting) {
  DROVER_RETURN_IF_ERROR(CheckNetwork(network, setting.micro_batch).Annotate("model"));
  Result<std::unique_ptr<Chain>> chain = Chain::Make(network.layers, network.input, setting);
  if (!chain.ok()) return chain.status().Annotate("model");
  Result<std::unique_ptr<Head>> head =
      MakeHead(network.head, chain.value()->output_dims(), setting);
  if (!head.ok()) return head.status().Annotate("model");

  std::vector<TensorSpec> uses = chain.value()->tensors();
  for (TensorSpec& tensor : head.value()->tensors()) uses.push_back(std::move(tensor));
  Result<TensorPlan> plan = PlanTensors(uses);
  if (!plan.ok()) return plan.status().Annotate("model");
  return std::unique_ptr<Model>(new Model(network, setting, std::move(chain).value(),
                                          std::move(head).value(), std::move(plan).value()));
}

Model::Model(const NetworkSpec& network, const LayerSetting& setting, std::unique_ptr<Chain> chain,
             std::unique_ptr<Head> head, TensorPlan plan)
    : setting_(setting),
      chain_(std::move(chain)),
      head_(std::move(head)),
      layout_(std::move(plan.layout)),
      uses_(std::move(plan.uses)),
      padded_(setting.micro_batch, PaddedSizes(network, chain_->output_dims())),
      weights_(uses_.size()),
      gradient_sums_(uses_.size()),
      output_gradient_(
          static_cast<size_t>(setting.micro_batch * ElementsOf(chain_->output_dims()))) {}

Status Model::CheckBatch(const Batch& batch) const {
  if (batch.samples < 1 || batch.samples > setting_.micro_batch) {
    return Status(Code::kInvalidArgument, fmt::format("micro-batch of {} samples, expected 1 to {}",
                                                      batch.samples, setting_.micro_batch));
  }
  return head_->Check(batch);
}

Result<BatchResult> Model::RunForward(const Batch& batch, bool training, const float* weights) {
  for (size_t i = 0; i < uses_.size(); ++i) {
    weights_[i] = weights + layout_.tensor_offset(uses_[i].tensor);
  }
  const std::span<const float* const> all = weights_;
  const size_t chain_uses = chain_->tensors().size();
  const Batch* const padded = padded_.Pad(batch);
  DROVER_RETURN_IF_ERROR(chain_->Forward({.batch = padded,
                                          .training = training,
                                          .input = padded->inputs,
                                          .weights = all.first(chain_uses),
                                          .output = nullptr}));
  return head_->Run({.batch = padded,
                     .training = training,
                     .input = chain_->output(),
                     .weights = all.subspan(chain_uses),
                     .input_gradient = training ? output_gradient_.data() : nullptr,
                     .weight_gradients = std::span(gradient_sums_).subspan(chain_uses)});
}

void Model::PointAtGradients(const GradientSink& gradient) {
  for (size_t i = 0; i < uses_.size(); ++i) {
    gradient_sums_[i] = {.values = gradient.base + layout_.tensor_offset(uses_[i].tensor),
                         .accumulate = !gradient.first || !uses_[i].writes_first};
  }
}

Result<BatchResult> Model::ForwardBackward(const Batch& batch, const float* weights,
                                           const GradientSink& gradient) {
  DROVER_RETURN_IF_ERROR(CheckBatch(batch));
  PointAtGradients(gradient);
  const Result<BatchResult> result = RunForward(batch, /*training=*/true, weights);
  if (!result.ok()) return result;
  if (gradient.on_backward) gradient.on_backward();

  const size_t chain_uses = chain_->tensors().size();
  const auto on_written = [&](size_t use) {
    if (gradient.on_final && uses_[use].writes_last) gradient.on_final(uses_[use].tensor);
  };
  for (size_t use = uses_.size(); use-- > chain_uses;) on_written(use);
  const BackwardPass pass = {
      .batch = padded_.batch(),
      .input = padded_.batch()->inputs,
      .output = nullptr,
      .weights = std::span<const float* const>(weights_).first(chain_uses),
      .output_gradient = output_gradient_.data(),
      .input_gradient = nullptr,
      .weight_gradients = std::span<const GradientSum>(gradient_sums_).first(chain_uses)};
  DROVER_RETURN_IF_ERROR(chain_->Backward(pass, on_written));
  return result;
}

Result<BatchResult> Model::Evaluate(const Batch& batch, const float* weights) {
  DROVER_RETURN_IF_ERROR(CheckBatch(batch));
  return RunForward(batch, /*training=*/false, weights);
}

}  // namespace drover
