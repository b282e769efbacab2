#include "server/optim/whole_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "common/tensor/layout.h"
#include "server/optim/lookahead.h"
#include "server/optim/step_scalars.h"

namespace drover {
namespace {

// Scalars that leave the gradient as it is.
StepScalars GradientAlone() {
  StepScalars scalars{};
  scalars.clip = 1.0f;
  return scalars;
}

BlockView BlockOf(WholeModel::Tensor& tensor, const std::vector<float>& gradient, size_t begin,
                  std::vector<float>* next_weight) {
  BlockView block{};
  block.size = std::min<size_t>(kBlockElements, tensor.weight.size() - begin);
  block.weight = tensor.weight.data() + begin;
  block.gradient = gradient.data() + begin;
  for (size_t slot = 0; slot < kSlotsMax; ++slot) {
    if (!tensor.slots[slot].empty()) block.slot[slot] = tensor.slots[slot].data() + begin;
  }
  if (next_weight != nullptr) block.next_weight = next_weight->data() + begin;
  return block;
}

// Adds up the blocks of one tensor in their order.
BlockNorms MeasureTensor(const CpuPasses& passes, const StepScalars& scalars,
                         WholeModel::Tensor& tensor, const std::vector<float>& gradient) {
  BlockNorms sum{0.0, 0.0};
  for (size_t begin = 0; begin < tensor.weight.size(); begin += kBlockElements) {
    const BlockNorms part =
        passes.measure(scalars, BlockOf(tensor, gradient, begin, /*next_weight=*/nullptr));
    sum.weight += part.weight;
    sum.direction += part.direction;
  }
  return sum;
}

}  // namespace

WholeModel::WholeModel(OptimizerSettings settings, Isa isa)
    : settings_(std::move(settings)),
      passes_(CpuPassesFor(settings_.rule, isa)),
      sgd_passes_(CpuPassesFor(Rule::kSgd, isa)) {}

void WholeModel::AddTensor(std::vector<float> initial, GroupSettings group) {
  Tensor tensor{group, std::move(initial), {}, {}};
  for (int slot = 0; slot < InfoOf(settings_.rule).slots; ++slot) {
    tensor.slots[static_cast<size_t>(slot)].assign(tensor.weight.size(), 0.0f);
  }
  if (settings_.lookahead_every != 0) tensor.slow.assign(tensor.weight.size(), 0.0f);
  tensors_.push_back(std::move(tensor));
}

std::vector<TrustRatio> WholeModel::Update(double learning_rate,
                                           const std::vector<std::vector<float>>& gradients) {
  DROVER_CHECK(gradients.size() == tensors_.size());
  ++update_;
  double gradient_squares = 0.0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    DROVER_CHECK(gradients[i].size() == tensors_[i].weight.size());
    gradient_squares +=
        MeasureTensor(sgd_passes_, GradientAlone(), tensors_[i], gradients[i]).direction;
  }
  const double clip_factor = ClipFactor(settings_, std::sqrt(gradient_squares));

  const LookaheadStep lookahead = LookaheadStepOf(settings_, update_);
  std::vector<TrustRatio> ratios(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    Tensor& tensor = tensors_[i];
    const StepScalars scalars =
        ComputeStepScalars(settings_, tensor.group, update_, learning_rate, clip_factor);
    if (InfoOf(settings_.rule).trust_ratio) {
      const BlockNorms norms = MeasureTensor(passes_, scalars, tensor, gradients[i]);
      ratios[i] = ComputeTrustRatio(settings_, tensor.group, std::sqrt(norms.weight),
                                    std::sqrt(norms.direction));
    }
    const auto scale = static_cast<float>(
        UpdateScale(settings_, tensor.group, update_, learning_rate, ratios[i].ratio));
    std::vector<float> next_weight(tensor.weight.size());
    for (size_t begin = 0; begin < tensor.weight.size(); begin += kBlockElements) {
      const BlockView block = BlockOf(tensor, gradients[i], begin, &next_weight);
      passes_.apply(scalars, block, scale);
      if (!tensor.slow.empty()) ApplyLookahead(lookahead, block, tensor.slow.data() + begin);
    }
    tensor.weight = std::move(next_weight);
  }
  return ratios;
}

}  // namespace drover
