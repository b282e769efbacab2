#include "worker/nn/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "worker/nn/layer.h"
#include "worker/nn/model_zoo.h"
#include "worker/nn/softmax_cross_entropy.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatchMax = 65536;
constexpr int64_t kActivationElementsMax = int64_t{1} << 32;  // 16 GiB.

// Values per sample that a lane keeps: every activation, and two gradients of the widest layer.
int64_t ActivationsPerSample(const Layers& layers) {
  int64_t activations = 0;
  int64_t widest = 0;
  for (const std::unique_ptr<Layer>& layer : layers) {
    if (!layer->in_place()) activations += layer->output_size();
    widest = std::max(widest, layer->output_size());
  }
  return activations + 2 * widest;
}

}  // namespace

struct Model::Stage {
  std::unique_ptr<Layer> layer;
  size_t first_tensor = 0;
  std::vector<uint64_t> offsets;  // Of its tensors in the parameter space.
  std::vector<float> storage;     // [micro_batch, output_size]; empty for in_place() layers.
  float* output = nullptr;        // Own storage, or the previous stage's.

  std::vector<const float*> weights;  // Of the current call.
  std::vector<float*> gradients;
};

Model::Model(std::vector<std::unique_ptr<Layer>> layers, Layout layout, int64_t input_size,
             int64_t classes, int64_t micro_batch)
    : layout_(std::move(layout)),
      micro_batch_(micro_batch),
      input_size_(input_size),
      classes_(classes),
      loss_(std::make_unique<SoftmaxCrossEntropy>(micro_batch, classes)) {
  size_t tensor = 0;
  int64_t widest = 0;
  for (std::unique_ptr<Layer>& layer : layers) {
    Stage stage;
    stage.first_tensor = tensor;
    for (size_t i = 0; i < layer->tensors().size(); ++i) {
      stage.offsets.push_back(layout_.tensor_offset(tensor++));
    }
    stage.weights.resize(stage.offsets.size());
    stage.gradients.resize(stage.offsets.size());
    widest = std::max(widest, layer->output_size());
    if (layer->in_place()) {
      DROVER_CHECK(!stages_.empty());
      stage.output = stages_.back().output;
    } else {
      stage.storage.resize(static_cast<size_t>(micro_batch * layer->output_size()));
      stage.output = stage.storage.data();
    }
    stage.layer = std::move(layer);
    stages_.push_back(std::move(stage));
  }
  for (std::vector<float>& gradient : activation_gradients_) {
    gradient.resize(static_cast<size_t>(micro_batch * widest));
  }
}

Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::Make(const ModelSpec& spec, int64_t micro_batch) {
  DROVER_RETURN_IF_ERROR(CheckModelSpec(spec));
  if (micro_batch < 1 || micro_batch > kMicroBatchMax) {
    return Status(Code::kInvalidArgument, fmt::format("model: micro_batch={}, expected 1 to {}",
                                                      micro_batch, kMicroBatchMax));
  }
  Layers layers = ModelZooRowOf(spec.kind).make_layers(spec, micro_batch);
  const int64_t per_sample = spec.input_size + ActivationsPerSample(layers);
  if (per_sample > kActivationElementsMax / micro_batch) {
    return Status(Code::kInvalidArgument,
                  fmt::format("model: {} activations per sample times micro_batch={} exceed 2^32; "
                              "choose a smaller micro_batch",
                              per_sample, micro_batch));
  }
  std::vector<TensorSpec> tensors;
  for (const std::unique_ptr<Layer>& layer : layers) {
    for (TensorSpec& tensor : layer->tensors()) tensors.push_back(std::move(tensor));
  }
  Result<Layout> layout = Layout::Make(std::move(tensors));
  if (!layout.ok()) return layout.status();
  return std::unique_ptr<Model>(new Model(std::move(layers), std::move(layout).value(),
                                          spec.input_size, spec.classes, micro_batch));
}

Status Model::CheckBatch(const Batch& batch) const {
  if (batch.samples < 1 || batch.samples > micro_batch_) {
    return Status(Code::kInvalidArgument, fmt::format("micro-batch of {} samples, expected 1 to {}",
                                                      batch.samples, micro_batch_));
  }
  for (int64_t i = 0; i < batch.samples; ++i) {
    if (batch.labels[i] < 0 || batch.labels[i] >= classes_) {
      return Status(Code::kInvalidArgument,
                    fmt::format("label {} of sample {}, expected 0 to {}: do model and dataset "
                                "agree on the number of classes?",
                                batch.labels[i], i, classes_ - 1));
    }
  }
  return Status();
}

Status Model::Forward(const Batch& batch, const float* weights) {
  input_ = batch.inputs;
  if (batch.samples < micro_batch_) {
    padded_input_.assign(static_cast<size_t>(micro_batch_ * input_size_), 0.0f);
    std::copy(batch.inputs, batch.inputs + batch.samples * input_size_, padded_input_.begin());
    input_ = padded_input_.data();
  }
  const float* input = input_;
  for (Stage& stage : stages_) {
    for (size_t i = 0; i < stage.offsets.size(); ++i) {
      stage.weights[i] = weights + stage.offsets[i];
    }
    DROVER_RETURN_IF_ERROR(
        stage.layer->Forward({.input = input, .weights = stage.weights, .output = stage.output}));
    input = stage.output;
  }
  return Status();
}

// Two buffers take turns as a layer's output and input gradient; in_place() layers stay in one.
Status Model::Backward(const GradientSink& gradient) {
  float* output_gradient = activation_gradients_[0].data();
  float* spare = activation_gradients_[1].data();
  for (size_t s = stages_.size(); s-- > 0;) {
    Stage& stage = stages_[s];
    for (size_t i = 0; i < stage.offsets.size(); ++i) {
      stage.gradients[i] = gradient.base + stage.offsets[i];
    }
    float* input_gradient = stage.layer->in_place() ? output_gradient : spare;
    DROVER_RETURN_IF_ERROR(
        stage.layer->Backward({.input = s == 0 ? input_ : stages_[s - 1].output,
                               .output = stage.output,
                               .weights = stage.weights,
                               .output_gradient = output_gradient,
                               .input_gradient = s == 0 ? nullptr : input_gradient,
                               .weight_gradients = stage.gradients,
                               .accumulate = !gradient.first}));
    if (!stage.layer->in_place()) std::swap(output_gradient, spare);
    if (!gradient.on_final) continue;
    for (size_t i = stage.offsets.size(); i-- > 0;) gradient.on_final(stage.first_tensor + i);
  }
  return Status();
}

Result<BatchResult> Model::ForwardBackward(const Batch& batch, const float* weights,
                                           const GradientSink& gradient) {
  DROVER_RETURN_IF_ERROR(CheckBatch(batch));
  DROVER_RETURN_IF_ERROR(Forward(batch, weights));
  const BatchResult result = loss_->Compute(stages_.back().output, batch.labels, batch.samples,
                                            activation_gradients_[0].data());
  if (gradient.on_backward) gradient.on_backward();
  DROVER_RETURN_IF_ERROR(Backward(gradient));
  return result;
}

Result<BatchResult> Model::Evaluate(const Batch& batch, const float* weights) {
  DROVER_RETURN_IF_ERROR(CheckBatch(batch));
  DROVER_RETURN_IF_ERROR(Forward(batch, weights));
  return loss_->Compute(stages_.back().output, batch.labels, batch.samples, nullptr);
}

}  // namespace drover
