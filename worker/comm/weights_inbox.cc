#include "worker/comm/weights_inbox.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace drover {

WeightsInbox::WeightsInbox(std::shared_ptr<const Layout> layout, std::vector<BlockRange> parts)
    : layout_(std::move(layout)), parts_(std::move(parts)) {}

void WeightsInbox::Expect(uint32_t epoch, int64_t version) {
  MutexLock lock(&mutex_);
  epoch_ = epoch;
  version_ = version;
  arrived_.clear();
  blocks_missing_.clear();
  for (const BlockRange& part : parts_) blocks_missing_.push_back(part.size());
  if (filling_ == nullptr) {
    // A buffer that only the pool still refers to is free.
    const auto free = std::find_if(pool_.begin(), pool_.end(),
                                   [](const auto& weights) { return weights.use_count() == 1; });
    if (free != pool_.end()) {
      filling_ = *free;
    } else {
      filling_ = std::make_shared<Weights>();
      filling_->values = FloatBuffer::Zeroed(layout_->SpanElements(layout_->all_blocks()));
      pool_.push_back(filling_);
    }
  }
  filling_->version = version;
}

bool WeightsInbox::FrameFits(size_t part, const FrameHeader& header) const {
  const BlockRange blocks = header.blocks();
  return header.layout_hash == layout_->hash() && header.encoding == FrameEncoding::kF32 &&
         blocks.begin < blocks.end && blocks.begin >= parts_[part].begin &&
         blocks.end <= parts_[part].end &&
         header.payload_bytes == layout_->SpanElements(blocks) * sizeof(float);
}

WeightsInbox::Arrival WeightsInbox::Receive(size_t part, const ReceivedFrame& frame) {
  const FrameHeader& header = frame.header();
  MutexLock lock(&mutex_);
  if (!version_ || filling_ == nullptr || header.epoch != epoch_ ||
      static_cast<int64_t>(header.step) != *version_) {
    return Arrival::kMore;
  }
  if (!FrameFits(part, header) || !frame.PayloadCrcMatches()) return Arrival::kDamaged;
  if (!arrived_.insert(header.block_begin).second) return Arrival::kMore;
  auto* out =
      reinterpret_cast<std::byte*>(filling_->values.data() + layout_->SpanOffset(header.blocks()));
  for (const ByteSpan& span : frame.payload()) {
    std::memcpy(out, span.data(), span.size());
    out += span.size();
  }
  blocks_missing_[part] -= std::min(blocks_missing_[part], header.block_count);
  if (blocks_missing_[part] > 0) return Arrival::kMore;
  const bool all = std::all_of(blocks_missing_.begin(), blocks_missing_.end(),
                               [](uint32_t missing) { return missing == 0; });
  return all ? Arrival::kComplete : Arrival::kPartComplete;
}

std::shared_ptr<const Weights> WeightsInbox::Take() {
  MutexLock lock(&mutex_);
  const bool all = version_ && std::all_of(blocks_missing_.begin(), blocks_missing_.end(),
                                           [](uint32_t missing) { return missing == 0; });
  if (!all || filling_ == nullptr) return nullptr;
  version_.reset();
  return std::exchange(filling_, nullptr);
}

std::optional<int64_t> WeightsInbox::expected() const {
  MutexLock lock(&mutex_);
  return version_;
}

}  // namespace drover
