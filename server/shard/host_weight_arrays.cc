#include "server/shard/host_weight_arrays.h"

#include <utility>

#include "server/optim/lookahead.h"

namespace drover {

HostWeightArrays::HostWeightArrays(std::shared_ptr<const Layout> layout, BlockRange owned,
                                   RuleState rule, int threads)
    : layout_(std::move(layout)), owned_(owned), rule_(rule), threads_(*layout_, owned, threads) {
  for (int array = 0; array < rule.arrays(); ++array) {
    state_.push_back(FloatBuffer::Zeroed(layout_->SpanElements(owned)));
  }
}

std::vector<float*> HostWeightArrays::StateToFill() {
  std::vector<float*> arrays;
  for (FloatBuffer& array : state_) arrays.push_back(array.data());
  return arrays;
}

std::vector<const float*> HostWeightArrays::State() {
  std::vector<const float*> arrays;
  for (const FloatBuffer& array : state_) arrays.push_back(array.data());
  return arrays;
}

BlockView HostWeightArrays::ViewOf(uint32_t block, const FloatBuffer& weights,
                                   const Accumulator& gradient) {
  const Block& place = layout_->blocks()[block];
  const uint64_t offset = place.offset - layout_->SpanOffset(owned_);
  BlockView view = {};
  view.size = place.size;
  view.weight = weights.data() + offset;
  view.gradient = gradient.block_gradient(block).data();
  const auto slots = static_cast<size_t>(InfoOf(rule_.rule).slots);
  for (size_t slot = 0; slot < slots; ++slot) view.slot[slot] = state_[slot].data() + offset;
  return view;
}

MeasuredSquares HostWeightArrays::Measure(const UpdateNumbers& numbers, const FloatBuffer& weights,
                                          const Accumulator& gradient) {
  const CpuPasses passes = CpuPassesFor(rule_.rule);
  MeasuredSquares squares;
  squares.weight.resize(owned_.size());
  squares.direction.resize(owned_.size());
  threads_.ForEachBlock([&](uint32_t block) {
    const uint32_t tensor = layout_->blocks()[block].tensor;
    const BlockNorms norms = passes.measure(numbers.groups[numbers.tensor_groups[tensor]],
                                            ViewOf(block, weights, gradient));
    squares.weight[block - owned_.begin] = norms.weight;
    squares.direction[block - owned_.begin] = norms.direction;
  });
  return squares;
}

void HostWeightArrays::Apply(const UpdateNumbers& numbers, const FloatBuffer& weights,
                             const Accumulator& gradient, FloatBuffer* next) {
  const CpuPasses passes = CpuPassesFor(rule_.rule);
  threads_.ForEachBlock([&](uint32_t block) {
    const Block& place = layout_->blocks()[block];
    const uint64_t offset = place.offset - layout_->SpanOffset(owned_);
    BlockView view = ViewOf(block, weights, gradient);
    view.next_weight = next->data() + offset;
    passes.apply(numbers.groups[numbers.tensor_groups[place.tensor]], view,
                 numbers.tensor_scales[place.tensor]);
    if (rule_.lookahead) ApplyLookahead(numbers.lookahead, view, state_.back().data() + offset);
  });
}

size_t HostWeightArrays::bytes() const {
  size_t bytes = 0;
  for (const FloatBuffer& array : state_) bytes += array.bytes();
  return bytes;
}

}  // namespace drover
