#include "server/shard/step_engine.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/tensor/bf16.h"

namespace drover {

StepEngine::StepEngine(std::shared_ptr<const Layout> layout, BlockRange owned, RuleState rule,
                       int threads, bool publish_bf16, std::unique_ptr<WeightArrays> arrays)
    : layout_(std::move(layout)),
      owned_(owned),
      rule_(rule),
      publish_bf16_(publish_bf16),
      elements_(layout_->SpanElements(owned)),
      chunks_(layout_->Chunks(owned)),
      threads_(*layout_, owned, threads),
      arrays_(std::move(arrays)),
      buffers_(elements_) {}

std::vector<float*> StepEngine::ArraysToFill() {
  if (next_ == nullptr) next_ = buffers_.AcquireExtra();
  std::vector<float*> arrays = {next_->data()};
  for (float* array : arrays_->StateToFill()) arrays.push_back(array);
  return arrays;
}

void StepEngine::FillFromSeed(uint64_t seed) {
  for (float* array : ArraysToFill()) {
    if (elements_ > 0) std::memset(static_cast<void*>(array), 0, elements_ * sizeof(float));
  }
  threads_.ForEachBlock([&](uint32_t block) {
    const Block& place = layout_->blocks()[block];
    FillInitial(layout_->tensors()[place.tensor].init, seed, place.tensor,
                place.offset - layout_->tensor_offset(place.tensor), place.size,
                next_->data() + OffsetOf(block));
  });
}

void StepEngine::Begin(int64_t version, int64_t applied) {
  DROVER_CHECK(next_ != nullptr);
  applied_ = applied;
  arrays_->Begin(*next_);
  MakeCurrent(version, std::move(next_));
}

std::vector<const float*> StepEngine::arrays() const {
  std::vector<const float*> arrays = {current_->weights->data()};
  for (const float* array : arrays_->State()) arrays.push_back(array);
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

MeasuredSquares StepEngine::Measure(const UpdateNumbers& numbers, const Accumulator& accumulator) {
  return arrays_->Measure(numbers, *current_->weights, accumulator);
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
  arrays_->Apply(numbers, *current_->weights, accumulator, next_.get());
  ++applied_;
  MakeCurrent(version() + 1, std::move(next_));
}

void StepEngine::Skip() {
  auto version = std::make_shared<Version>(*current_);
  ++version->number;
  current_ = std::move(version);
}

size_t StepEngine::bytes() const {
  size_t bytes = buffers_.bytes() + arrays_->bytes();
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
  threads_.ForEachPart([&](size_t part) {
    for (size_t chunk = part; chunk < chunks_.size(); chunk += threads_.parts()) {
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

}  // namespace drover
