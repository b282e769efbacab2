#include "worker/comm/weights_inbox.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/tensor/bf16.h"

namespace drover {
namespace {

uint64_t ElementBytes(FrameEncoding encoding) {
  return encoding == FrameEncoding::kBf16 ? sizeof(uint16_t) : sizeof(float);
}

// What arrived in the upper half of `out` as bfloat16 becomes float32, front to back: no value is
// overwritten before its turn. In pieces, through a buffer, so that the loops can be vectorised.
void WidenInPlace(std::span<float> out) {
  const std::byte* packed = std::as_bytes(out).data() + out.size() * sizeof(uint16_t);
  std::array<uint16_t, 4096> piece;
  for (size_t done = 0; done < out.size(); done += piece.size()) {
    const size_t count = std::min(piece.size(), out.size() - done);
    std::memcpy(piece.data(), packed + done * sizeof(uint16_t), count * sizeof(uint16_t));
    WidenBf16(piece.data(), count, out.data() + done);
  }
}

}  // namespace

std::shared_ptr<WeightsPool> MakeWeightsPool(const Layout& layout, const HostMemoryMaker& memory) {
  const uint64_t elements = layout.SpanElements(layout.all_blocks());
  const auto make = [elements, memory] {
    auto weights = std::make_unique<Weights>();
    // Gaps between chunks are in no frame.
    weights->values = HostArray<float>::Zeroed(elements, memory);
    return weights;
  };
  return std::make_shared<WeightsPool>(make, /*free_max=*/2);
}

WeightsInbox::WeightsInbox(std::shared_ptr<const Layout> layout,
                           std::shared_ptr<const ChunkMap> chunks,
                           std::shared_ptr<WeightsPool> pool, uint32_t epoch,
                           std::optional<Listener> listener)
    : layout_(std::move(layout)),
      chunks_(std::move(chunks)),
      pool_(std::move(pool)),
      epoch_(epoch),
      listener_(std::move(listener)) {}

void WeightsInbox::Expect(int64_t version) {
  // First: from here on the listener ignores what still arrives of the version before.
  if (listener_) listener_->on_expect(version);
  MutexLock lock(&mutex_);
  version_ = version;
  newer_.reset();
  first_.reset();
  states_.assign(chunks_->chunks.size(), State::kMissing);
  part_missing_ = chunks_->chunks_in_part;
  missing_ = chunks_->chunks.size();
  filling_.reset();  // Before Take, which then gives the same one unless a copy is in progress.
  filling_ = pool_->Take();
  filling_->version = version;
  filling_->packed.clear();
}

std::optional<size_t> WeightsInbox::ChunkOf(size_t part, const FrameHeader& header) const {
  const std::optional<size_t> chunk = chunks_->Find(header.blocks());
  if (!chunk || chunks_->chunks[*chunk].part != part || header.layout_hash != layout_->hash() ||
      (header.encoding != FrameEncoding::kF32 && header.encoding != FrameEncoding::kBf16) ||
      header.payload_bytes !=
          layout_->SpanElements(header.blocks()) * ElementBytes(header.encoding)) {
    return std::nullopt;
  }
  return chunk;
}

WeightsInbox::Arrival WeightsInbox::Receive(size_t part, const ReceivedFrame& frame) {
  const FrameHeader& header = frame.header();
  const std::optional<size_t> chunk = ChunkOf(part, header);
  std::shared_ptr<Weights> target;
  {
    MutexLock lock(&mutex_);
    if (!version_ || header.epoch != epoch_ || static_cast<int64_t>(header.step) != *version_) {
      return Arrival::kMore;
    }
    if (!chunk) return Arrival::kForeign;
    if (states_[*chunk] != State::kMissing) return Arrival::kMore;
    states_[*chunk] = State::kArriving;
    if (!first_) first_ = Clock::Real().Now();
    target = filling_;
  }
  const auto out = target->values.span().subspan(layout_->SpanOffset(header.blocks()),
                                                 layout_->SpanElements(header.blocks()));
  const std::span<std::byte> bytes = std::as_writable_bytes(out);
  const bool sound = frame.CopyPayload(bytes.last(header.payload_bytes));
  const bool is_bf16 = header.encoding == FrameEncoding::kBf16;
  const ElementRange elements = {layout_->SpanOffset(header.blocks()),
                                 layout_->SpanOffset(header.blocks()) + out.size()};
  if (sound && is_bf16 && !listener_) WidenInPlace(out);
  if (sound && listener_) {
    const auto* const packed = PackedBf16(target->values.data(), elements);
    const void* const values = is_bf16 ? static_cast<const void*>(packed) : out.data();
    listener_->on_chunk(static_cast<int64_t>(header.step), elements, is_bf16, values);
  }
  MutexLock lock(&mutex_);
  if (filling_ != target) return Arrival::kMore;  // Another version is expected by now.
  if (!sound) {
    states_[*chunk] = State::kMissing;
    return Arrival::kDamaged;
  }
  return Arrived(part, *chunk, is_bf16 && listener_ ? std::optional(elements) : std::nullopt);
}

WeightsInbox::Arrival WeightsInbox::Arrived(size_t part, size_t chunk,
                                            const std::optional<ElementRange>& packed) {
  if (packed) filling_->packed.push_back(*packed);
  states_[chunk] = State::kHere;
  last_ = Clock::Real().Now();
  --part_missing_[part];
  if (--missing_ == 0) return Arrival::kComplete;
  return part_missing_[part] == 0 ? Arrival::kPartComplete : Arrival::kMore;
}

void WeightsInbox::MarkGone(int64_t current) {
  MutexLock lock(&mutex_);
  if (version_ && current > newer_.value_or(*version_)) newer_ = current;
}

std::optional<int64_t> WeightsInbox::newer() const {
  MutexLock lock(&mutex_);
  return newer_;
}

std::shared_ptr<const Weights> WeightsInbox::Take(Duration* duration) {
  MutexLock lock(&mutex_);
  if (!version_ || missing_ > 0) return nullptr;
  if (duration != nullptr) *duration = last_ - first_.value_or(last_);
  version_.reset();
  newer_.reset();
  return std::exchange(filling_, nullptr);
}

std::optional<int64_t> WeightsInbox::expected() const {
  MutexLock lock(&mutex_);
  return version_;
}

}  // namespace drover
