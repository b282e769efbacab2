#include "worker/nn/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "worker/nn/layer_table.h"

namespace drover {
namespace {

constexpr int64_t kActivationElementsMax = int64_t{1} << 32;  // 16 GiB.

}  // namespace

struct Chain::Stage {
  std::unique_ptr<Layer> layer;
  size_t first_tensor = 0;
  size_t tensor_count = 0;
  bool in_place = false;          // Overwrites what the stage before wrote.
  std::vector<float> storage;     // [B, output size]; empty for views and in place.
  const float* input = nullptr;   // Of the current call.
  const float* output = nullptr;  // Likewise.

  bool is_view() const { return layer->storage() == Layer::Storage::kView; }
};

Chain::Chain(std::vector<Stage> stages, const Dims& input, const LayerSetting& setting)
    : micro_batch_(setting.micro_batch),
      stages_(std::move(stages)),
      output_dims_(stages_.empty() ? input : stages_.back().layer->output_dims()),
      first_trained_(stages_.size()) {
  int64_t widest = 0;
  for (size_t s = 0; s < stages_.size(); ++s) {
    Stage& stage = stages_[s];
    std::vector<TensorSpec> tensors = stage.layer->tensors();
    stage.first_tensor = tensors_.size();
    stage.tensor_count = tensors.size();
    if (!tensors.empty()) first_trained_ = std::min(first_trained_, s);
    for (TensorSpec& tensor : tensors) tensors_.push_back(std::move(tensor));

    // What stage 0 and views hand on is not this chain's memory, or not only the last stage's.
    stage.in_place = stage.layer->storage() == Layer::Storage::kInPlace && s > 0 &&
                     !stages_[s - 1].is_view() && !stages_[s - 1].layer->keeps_output();
    const int64_t size = ElementsOf(stage.layer->output_dims());
    widest = std::max(widest, size);
    if (stage.in_place || stage.is_view()) continue;
    stage.storage.resize(static_cast<size_t>(micro_batch_ * size));
  }
  for (std::vector<float>& gradient : gradients_) {
    gradient.resize(static_cast<size_t>(micro_batch_ * widest));
  }
}

Chain::~Chain() = default;

Result<std::unique_ptr<Chain>> Chain::Make(const std::vector<LayerSpec>& layers, const Dims& input,
                                           const LayerSetting& setting) {
  std::vector<Stage> stages;
  Dims dims = input;
  int64_t elements = 2 * ElementsOf(input);  // Two gradients of the widest activation ...
  int64_t activations = 0;                   // ... and every activation.
  for (size_t i = 0; i < layers.size(); ++i) {
    Result<std::unique_ptr<Layer>> layer = MakeLayer(layers[i], dims, setting);
    if (!layer.ok()) return layer.status().Annotate(fmt::format("layer {}", i + 1));
    dims = layer.value()->output_dims();
    elements = std::max(elements, 2 * ElementsOf(dims));
    activations += ElementsOf(dims);
    if (activations + elements > kActivationElementsMax / setting.micro_batch) {
      return Status(Code::kInvalidArgument,
                    fmt::format("layer {}: the activations of micro_batch={} samples exceed 2^32; "
                                "choose a smaller micro_batch",
                                i + 1, setting.micro_batch));
    }
    stages.emplace_back().layer = std::move(layer).value();
  }
  return std::unique_ptr<Chain>(new Chain(std::move(stages), input, setting));
}

Status Chain::Forward(const ForwardPass& pass) {
  output_ = pass.input;
  float* writable = nullptr;  // What the stage before wrote.
  for (Stage& stage : stages_) {
    stage.input = output_;
    if (stage.is_view()) {
      stage.output = output_;
      continue;
    }
    if (!stage.in_place) writable = stage.storage.data();
    stage.output = writable;
    DROVER_RETURN_IF_ERROR(stage.layer->Forward(
        {.batch = pass.batch,
         .training = pass.training,
         .input = stage.input,
         .weights = pass.weights.subspan(stage.first_tensor, stage.tensor_count),
         .output = writable}));
    output_ = writable;
  }
  return Status();
}

Status Chain::BackwardStage(const BackwardPass& pass, size_t s, float* output_gradient,
                            float* input_gradient) {
  const Stage& stage = stages_[s];
  return stage.layer->Backward(
      {.batch = pass.batch,
       .input = stage.input,
       .output = stage.output,
       .weights = pass.weights.subspan(stage.first_tensor, stage.tensor_count),
       .output_gradient = output_gradient,
       .input_gradient = input_gradient,
       .weight_gradients = pass.weight_gradients.subspan(stage.first_tensor, stage.tensor_count)});
}

Status Chain::Backward(const BackwardPass& pass, const std::function<void(size_t)>& on_written) {
  float* gradient = pass.output_gradient;
  const size_t last = pass.input_gradient != nullptr ? 0 : first_trained_;
  for (size_t s = stages_.size(); s-- > last;) {
    const Stage& stage = stages_[s];
    if (stage.is_view()) continue;
    float* input_gradient = nullptr;
    if (s > last || pass.input_gradient != nullptr) {
      float* const spare = gradients_[gradient == gradients_[0].data() ? 1 : 0].data();
      input_gradient = stage.in_place ? gradient : s == 0 ? pass.input_gradient : spare;
    }
    DROVER_RETURN_IF_ERROR(BackwardStage(pass, s, gradient, input_gradient));
    gradient = input_gradient;
    if (!on_written) continue;
    for (size_t i = stage.tensor_count; i-- > 0;) on_written(stage.first_tensor + i);
  }
  // Views at the front hand on what they were handed.
  if (pass.input_gradient != nullptr && gradient != pass.input_gradient) {
    const int64_t size = stages_.empty() ? ElementsOf(output_dims_)
                                         : ElementsOf(stages_.front().layer->output_dims());
    std::copy_n(gradient, micro_batch_ * size, pass.input_gradient);
  }
  return Status();
}

}  // namespace drover
