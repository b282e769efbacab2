#include "server/shard/step_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/base/thread.h"
#include "common/tensor/bf16.h"
#include "server/optim/lookahead.h"
#include "server/optim/update.h"

namespace drover {
namespace {

// Below this a second thread costs more to start than it saves.
constexpr uint64_t kElementsPerThreadMin = uint64_t{1} << 19;

std::vector<BlockRange> SplitEvenly(const Layout& layout, BlockRange owned, uint64_t elements,
                                    int threads) {
  const uint64_t wanted = std::min(static_cast<uint64_t>(threads),
                                   std::max<uint64_t>(1, elements / kElementsPerThreadMin));
  std::vector<BlockRange> parts;
  uint32_t begin = owned.begin;
  for (uint64_t part = 1; part <= wanted; ++part) {
    uint32_t end = begin;
    while (end < owned.end &&
           (part == wanted || layout.SpanElements({owned.begin, end}) < elements * part / wanted)) {
      ++end;
    }
    parts.push_back({begin, end});
    begin = end;
  }
  return parts;
}

}  // namespace

StepEngine::StepEngine(std::shared_ptr<const Layout> layout, BlockRange owned, RuleState rule,
                       int threads, bool publish_bf16)
    : layout_(std::move(layout)),
      owned_(owned),
      rule_(rule),
      publish_bf16_(publish_bf16),
      elements_(layout_->SpanElements(owned)),
      chunks_(layout_->Chunks(owned)),
      parts_(SplitEvenly(*layout_, owned, elements_, threads)),
      buffers_(elements_) {
  for (int slot = 0; slot < rule.arrays(); ++slot) {
    slots_.push_back(FloatBuffer::Zeroed(elements_));
  }
}

std::vector<float*> StepEngine::ArraysToFill() {
  if (next_ == nullptr) next_ = buffers_.AcquireExtra();
  std::vector<float*> arrays = {next_->data()};
  for (FloatBuffer& slot : slots_) arrays.push_back(slot.data());
  return arrays;
}

void StepEngine::FillFromSeed(uint64_t seed) {
  for (float* array : ArraysToFill()) {
    if (elements_ > 0) std::memset(static_cast<void*>(array), 0, elements_ * sizeof(float));
  }
  ForEachBlock([&](uint32_t block) {
    const Block& place = layout_->blocks()[block];
    FillInitial(layout_->tensors()[place.tensor].init, seed, place.tensor,
                place.offset - layout_->tensor_offset(place.tensor), place.size,
                next_->data() + OffsetOf(block));
  });
}

void StepEngine::Begin(int64_t version, int64_t applied) {
  DROVER_CHECK(next_ != nullptr);
  applied_ = applied;
  MakeCurrent(version, std::move(next_));
}

std::vector<const float*> StepEngine::arrays() const {
  std::vector<const float*> arrays = {current_->weights->data()};
  for (const FloatBuffer& slot : slots_) arrays.push_back(slot.data());
  return arrays;
}

Status StepEngine::Check(const UpdateNumbers& numbers, bool with_scales) const {
  const size_t tensors = layout_->tensors().size();
  const size_t scales = with_scales ? tensors : numbers.tensor_scales.size();
  if (numbers.tensor_groups.size() != tensors || numbers.tensor_scales.size() != scales) {
    return Status(Code::kInvalidArgument,
                  fmt::format("update with groups for {} and scales for {} tensors: the layout has "
                              "{}",
                              numbers.tensor_groups.size(), numbers.tensor_scales.size(), tensors));
  }
  for (const uint32_t group : numbers.tensor_groups) {
    if (group >= numbers.groups.size()) {
      return Status(Code::kInvalidArgument,
                    fmt::format("update names group {} of {}", group, numbers.groups.size()));
    }
  }
  const LookaheadStep& lookahead = numbers.lookahead;
  if (!rule_.lookahead && (lookahead.begin || lookahead.sync)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("update with Lookahead: rule {} was placed", rule_.name()));
  }
  return Status();
}

MeasuredSquares StepEngine::Measure(const UpdateNumbers& numbers,
                                    const Accumulator& accumulator) const {
  const CpuPasses passes = CpuPassesFor(rule_.rule);
  MeasuredSquares squares;
  squares.weight.resize(owned_.size());
  squares.direction.resize(owned_.size());
  ForEachBlock([&](uint32_t block) {
    const Block& place = layout_->blocks()[block];
    BlockView view = {};
    view.size = place.size;
    view.weight = current_->weights->data() + OffsetOf(block);
    view.gradient = accumulator.block_gradient(block).data();
    for (size_t slot = 0; slot < rule_slots(); ++slot) {
      // Measure does not write: see update.h.
      view.slot[slot] = const_cast<float*>(slots_[slot].data()) + OffsetOf(block);
    }
    const BlockNorms norms =
        passes.measure(numbers.groups[numbers.tensor_groups[place.tensor]], view);
    squares.weight[block - owned_.begin] = norms.weight;
    squares.direction[block - owned_.begin] = norms.direction;
  });
  return squares;
}

bool StepEngine::ReserveNext(Duration timeout) {
  if (next_ == nullptr) next_ = buffers_.Acquire(timeout);
  return next_ != nullptr;
}

void StepEngine::ReserveNextExtra() {
  if (next_ == nullptr) next_ = buffers_.AcquireExtra();
}

void StepEngine::Apply(const UpdateNumbers& numbers, const Accumulator& accumulator) {
  DROVER_CHECK(next_ != nullptr);
  const CpuPasses passes = CpuPassesFor(rule_.rule);
  ForEachBlock([&](uint32_t block) {
    const Block& place = layout_->blocks()[block];
    BlockView view = {};
    view.size = place.size;
    view.weight = current_->weights->data() + OffsetOf(block);
    view.gradient = accumulator.block_gradient(block).data();
    for (size_t slot = 0; slot < rule_slots(); ++slot) {
      view.slot[slot] = slots_[slot].data() + OffsetOf(block);
    }
    view.next_weight = next_->data() + OffsetOf(block);
    passes.apply(numbers.groups[numbers.tensor_groups[place.tensor]], view,
                 numbers.tensor_scales[place.tensor]);
    if (rule_.lookahead) {
      ApplyLookahead(numbers.lookahead, view, slots_.back().data() + OffsetOf(block));
    }
  });
  ++applied_;
  MakeCurrent(version() + 1, std::move(next_));
}

void StepEngine::Skip() {
  auto version = std::make_shared<Version>(*current_);
  ++version->number;
  current_ = std::move(version);
}

size_t StepEngine::bytes() const {
  size_t bytes = buffers_.bytes();
  for (const FloatBuffer& slot : slots_) bytes += slot.bytes();
  if (current_ != nullptr && current_->rounded != nullptr) bytes += current_->rounded->bytes();
  return bytes;
}

uint64_t StepEngine::OffsetOf(uint32_t block) const {
  return layout_->blocks()[block].offset - layout_->SpanOffset(owned_);
}

void StepEngine::MakeCurrent(int64_t number, std::shared_ptr<const FloatBuffer> weights) {
  auto version = std::make_shared<Version>();
  version->number = number;
  version->chunk_crcs.resize(chunks_.size());
  std::shared_ptr<Buffer<uint16_t>> rounded;
  if (publish_bf16_)
    rounded = std::make_shared<Buffer<uint16_t>>(Buffer<uint16_t>::Zeroed(elements_));
  RunSplit([&](size_t part) {
    for (size_t chunk = part; chunk < chunks_.size(); chunk += parts_.size()) {
      const uint64_t first = OffsetOf(chunks_[chunk].begin);
      const uint64_t count = layout_->SpanElements(chunks_[chunk]);
      if (rounded != nullptr) {
        RoundToBf16(weights->data() + first, count, rounded->data() + first);
        version->chunk_crcs[chunk] = Crc32c(rounded->data() + first, count * sizeof(uint16_t));
      } else {
        version->chunk_crcs[chunk] = Crc32c(weights->data() + first, count * sizeof(float));
      }
    }
  });
  version->weights = std::move(weights);
  version->rounded = std::move(rounded);
  current_ = std::move(version);
}

void StepEngine::ForEachBlock(const std::function<void(uint32_t block)>& body) const {
  RunSplit([&](size_t part) {
    for (uint32_t block = parts_[part].begin; block < parts_[part].end; ++block) body(block);
  });
}

void StepEngine::RunSplit(const std::function<void(size_t part)>& body) const {
  std::vector<Thread> helpers;
  for (size_t part = 1; part < parts_.size(); ++part) {
    helpers.emplace_back("optim/" + std::to_string(part), [&body, part] { body(part); });
  }
  body(0);
}

}  // namespace drover
