#include "worker/nn/gpu_chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "worker/nn/gpu_layer_table.h"
#include "worker/nn/recomputed_gpu.h"

namespace drover {

namespace {

// How many layers from `begin` on are one block: a residual one and those behind it, up to the
// next. 0: the layer is in none.
size_t LayersOfBlock(const std::vector<LayerSpec>& layers, size_t begin) {
  const auto is_residual = [&](size_t i) {
    return std::holds_alternative<ResidualSpec>(layers[i].kind);
  };
  if (!is_residual(begin)) return 0;
  size_t end = begin + 1;
  while (end < layers.size() && !is_residual(end)) ++end;
  return end - begin;
}

}  // namespace

struct GpuChain::Stage {
  std::unique_ptr<GpuLayer> layer;
  size_t first_tensor = 0;
  size_t tensor_count = 0;
  bool in_place = false;      // Overwrites what the stage before wrote.
  size_t output_offset = 0;   // Of its output in `kept`; not used for views and in place.
  size_t kept_offset = 0;     // Of what the layer keeps.
  ConstGpuValues input = {};  // Of the current call.
  GpuValues output = {};      // Likewise.

  bool is_view() const { return layer->storage() == Layer::Storage::kView; }
};

GpuChain::GpuChain(std::vector<Stage> stages, const Dims& input, const LayerSetting& setting)
    : micro_batch_(setting.micro_batch),
      type_(ActivationType(setting.precision)),
      stages_(std::move(stages)),
      output_dims_(stages_.empty() ? input : stages_.back().layer->output_dims()),
      first_trained_(stages_.size()) {
  const auto bytes_of = [this](const Dims& dims) {
    return AlignedBytes(static_cast<size_t>(micro_batch_ * ElementsOf(dims)) * BytesOf(type_));
  };
  size_t layer_scratch = 0;
  for (size_t s = 0; s < stages_.size(); ++s) {
    Stage& stage = stages_[s];
    stage.first_tensor = tensors_.size();
    stage.tensor_count = stage.layer->tensors().size();
    if (stage.tensor_count > 0) first_trained_ = std::min(first_trained_, s);
    tensors_.insert(tensors_.end(), stage.layer->tensors().begin(), stage.layer->tensors().end());

    // What stage 0 and views hand on is not this chain's memory, or not only the last stage's.
    stage.in_place = stage.layer->storage() == Layer::Storage::kInPlace && s > 0 &&
                     !stages_[s - 1].is_view() && !stages_[s - 1].layer->keeps_output();
    const size_t output_bytes = bytes_of(stage.layer->output_dims());
    gradient_bytes_ = std::max(gradient_bytes_, output_bytes);
    const GpuBytes needed = stage.layer->bytes();
    stage.kept_offset = bytes_.kept;
    bytes_.kept += AlignedBytes(needed.kept);
    layer_scratch = std::max(layer_scratch, needed.scratch);
    if (stage.in_place || stage.is_view()) continue;
    stage.output_offset = bytes_.kept;
    bytes_.kept += output_bytes;
  }
  bytes_.scratch = 2 * gradient_bytes_ + layer_scratch;
}

GpuChain::~GpuChain() = default;

Result<std::unique_ptr<GpuChain>> GpuChain::Make(const std::vector<LayerSpec>& layers,
                                                 const Dims& input, const LayerSetting& setting,
                                                 bool recompute) {
  std::vector<Stage> stages;
  Dims dims = input;
  for (size_t i = 0; i < layers.size();) {
    const size_t block = recompute ? LayersOfBlock(layers, i) : 0;
    Result<std::unique_ptr<GpuLayer>> layer =
        block == 0 ? MakeGpuLayer(layers[i], dims, setting)
                   : MakeRecomputedGpu({layers.begin() + static_cast<std::ptrdiff_t>(i),
                                        layers.begin() + static_cast<std::ptrdiff_t>(i + block)},
                                       dims, setting);
    if (!layer.ok()) return layer.status().Annotate(fmt::format("layer {}", i + 1));
    dims = layer.value()->output_dims();
    stages.emplace_back().layer = std::move(layer).value();
    i += std::max<size_t>(1, block);
  }
  return std::unique_ptr<GpuChain>(new GpuChain(std::move(stages), input, setting));
}

Status GpuChain::Forward(const GpuForwardPass& pass) {
  output_ = pass.input;
  GpuValues writable;  // What the stage before wrote.
  for (Stage& stage : stages_) {
    stage.input = output_;
    if (stage.is_view()) {
      // Nobody writes there: a view's output is only looked at.
      stage.output = {const_cast<void*>(output_.data), output_.type};
      continue;
    }
    if (!stage.in_place) writable = {pass.kept + stage.output_offset, type_};
    stage.output = writable;
    GpuForwardPass own = pass;
    own.input = stage.input;
    own.weights = pass.weights.subspan(stage.first_tensor, stage.tensor_count);
    own.output = writable;
    own.kept = pass.kept + stage.kept_offset;
    own.scratch = pass.scratch + 2 * gradient_bytes_;
    DROVER_RETURN_IF_ERROR(stage.layer->Forward(own));
    output_ = writable;
  }
  return Status();
}

Status GpuChain::BackwardStage(const GpuBackwardPass& pass, size_t s, GpuValues output_gradient,
                               GpuValues input_gradient) {
  const Stage& stage = stages_[s];
  GpuBackwardPass own = pass;
  own.input = stage.input;
  own.output = stage.output;
  own.weights = pass.weights.subspan(stage.first_tensor, stage.tensor_count);
  own.output_gradient = output_gradient;
  own.input_gradient = input_gradient;
  own.weight_gradients = pass.weight_gradients.subspan(stage.first_tensor, stage.tensor_count);
  own.kept = pass.kept + stage.kept_offset;
  own.scratch = pass.scratch + 2 * gradient_bytes_;
  return stage.layer->Backward(own);
}

Status GpuChain::Backward(const GpuBackwardPass& pass,
                          const std::function<Status(size_t)>& on_written) {
  const GpuValues spare[2] = {{pass.scratch, type_}, {pass.scratch + gradient_bytes_, type_}};
  GpuValues gradient = pass.output_gradient;
  const bool wanted = pass.input_gradient.data != nullptr;
  const size_t last = wanted ? 0 : first_trained_;
  for (size_t s = stages_.size(); s-- > last;) {
    const Stage& stage = stages_[s];
    if (stage.is_view()) continue;
    GpuValues input_gradient = {nullptr, type_};
    if (s > last || wanted) {
      input_gradient = stage.in_place ? gradient
                       : s == 0       ? pass.input_gradient
                                      : spare[gradient.data == spare[0].data ? 1 : 0];
    }
    DROVER_RETURN_IF_ERROR(BackwardStage(pass, s, gradient, input_gradient));
    gradient = input_gradient;
    if (!on_written) continue;
    for (size_t i = stage.tensor_count; i-- > 0;) {
      DROVER_RETURN_IF_ERROR(on_written(stage.first_tensor + i));
    }
  }
  // Views at the front hand on what they were handed.
  if (!wanted || gradient.data == pass.input_gradient.data) return Status();
  const int64_t size =
      stages_.empty() ? ElementsOf(output_dims_) : ElementsOf(stages_.front().layer->output_dims());
  return CopyBytesOnDevice(*pass.lane.stream, pass.input_gradient.data, gradient.data,
                           static_cast<size_t>(micro_batch_ * size) * BytesOf(type_));
}

}  // namespace drover
