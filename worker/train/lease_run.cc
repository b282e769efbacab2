#include "worker/train/lease_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

namespace drover {
namespace {

// Gaps between tensors: nobody writes them and every frame carries them.
template <typename T>
void ZeroGaps(const Layout& layout, T* values) {
  for (size_t tensor = 0; tensor + 1 < layout.tensors().size(); ++tensor) {
    const uint64_t end = layout.tensor_offset(tensor) + layout.tensor_size(tensor);
    std::fill(values + end, values + layout.tensor_offset(tensor + 1), T{0});
  }
}

}  // namespace

LeaseRun::LeaseRun(const Order& order, const JobSetup& setup, std::shared_ptr<const Layout> layout,
                   std::shared_ptr<const ChunkMap> chunks, std::vector<ShardLink*> links,
                   std::shared_ptr<const Weights> weights, Instant now)
    : order_(order),
      fraction_bits_(setup.fraction_bits),
      leaf_limit_(LeafLimit(setup.leaf_samples())),
      scale_(FixedPointScale(setup.fraction_bits)),
      passes_(FixedPointPassesFor(BestIsa())),
      layout_(std::move(layout)),
      chunks_(std::move(chunks)),
      links_(std::move(links)),
      weights_(std::move(weights)),
      started_(now),
      next_leaf_(order.leaves.begin),
      tensors_(layout_->tensors().size()),
      tensors_missing_(chunks_->chunks.size()),
      leaves_missing_(order.leaves.size()),
      acks_missing_(chunks_->chunks.size() + links_.size()) {
  const uint64_t elements = layout_->SpanElements(layout_->all_blocks());
  if (order_.leaves.size() == 1) {
    single_ = std::make_shared<FloatBuffer>(elements);
    ZeroGaps(*layout_, single_->data());
  } else {
    sums_ = std::make_shared<Buffer<int64_t>>(elements);
    ZeroGaps(*layout_, sums_->data());
  }
  for (TensorState& tensor : tensors_) {
    MutexLock lock(&tensor.mutex);
    tensor.leaves_missing = order_.leaves.size();
  }
  for (size_t i = 0; i < tensors_missing_.size(); ++i) {
    tensors_missing_[i].store(chunks_->chunks[i].tensors, std::memory_order_relaxed);
  }
}

std::optional<uint32_t> LeaseRun::NextLeaf() {
  const uint32_t leaf = next_leaf_.fetch_add(1);
  if (leaf >= order_.leaves.end || cancelled_.load()) return std::nullopt;
  return leaf;
}

float* LeaseRun::LeafBuffer(float* lane_buffer) {
  return single_ != nullptr ? single_->data() : lane_buffer;
}

void LeaseRun::TensorFinal(uint32_t leaf, size_t tensor, const float* gradient) {
  const uint64_t offset = layout_->tensor_offset(tensor);
  const size_t size = layout_->tensor_size(tensor);
  const int64_t bad = passes_.find_bad_f32(gradient + offset, size, leaf_limit_);
  if (bad >= 0) {
    const float value = gradient[offset + static_cast<uint64_t>(bad)];
    return LeafFailed(
        {leaf, layout_->tensors()[tensor].name,
         std::isfinite(value)
             ? fmt::format("element {} is {}, beyond the range of fixed point", bad, value)
             : fmt::format("element {} is {}", bad, value)});
  }
  bool whole = false;
  {
    TensorState& state = tensors_[tensor];
    MutexLock lock(&state.mutex);
    if (sums_ != nullptr) {
      const auto add = state.empty ? passes_.store_f32 : passes_.add_f32;
      add(gradient + offset, size, scale_, sums_->data() + offset);
    }
    state.empty = false;
    whole = --state.leaves_missing == 0;
  }
  if (!whole || cancelled_.load()) return;
  for (const size_t chunk : chunks_->chunks_of_tensor[tensor]) {
    if (tensors_missing_[chunk].fetch_sub(1) == 1) PushChunk(chunk);
  }
}

void LeaseRun::PushChunk(size_t chunk) {
  const ChunkMap::Chunk& where = chunks_->chunks[chunk];
  const uint64_t offset = layout_->SpanOffset(where.blocks);
  const uint64_t elements = layout_->SpanElements(where.blocks);
  ShardLink* link = links_[where.part];
  FrameHeader header = link->NewHeader(FrameType::kGradient);
  header.step = static_cast<uint64_t>(order_.step);
  header.block_begin = where.blocks.begin;
  header.block_count = where.blocks.size();
  header.leaf_begin = order_.leaves.begin;
  header.leaf_end = order_.leaves.end;
  std::array<ByteSpan, 1> payload;
  std::shared_ptr<const void> owner;
  if (single_ != nullptr) {
    header.encoding = FrameEncoding::kF32;
    payload[0] = std::as_bytes(single_->span().subspan(offset, elements));
    owner = single_;
  } else {
    header.encoding = FrameEncoding::kI64;
    payload[0] = std::as_bytes(sums_->span().subspan(offset, elements));
    owner = sums_;
  }
  header.payload_crc = PayloadCrc(payload);
  link->Push(header, MakeOwnedFrame(header, payload, std::move(owner)));
}

void LeaseRun::LeafFinal(const StepStats& stats) {
  bool whole = false;
  {
    MutexLock lock(&mutex_);
    stats_.loss += stats.loss;
    stats_.correct += stats.correct;
    stats_.samples += stats.samples;
    whole = --leaves_missing_ == 0;
  }
  if (whole && !cancelled_.load()) PushStats();
}

void LeaseRun::PushStats() {
  std::array<std::byte, kStepStatsBytes> bytes;
  {
    MutexLock lock(&mutex_);
    EncodeStepStats(stats_, bytes);
  }
  for (ShardLink* link : links_) {
    FrameHeader header = link->NewHeader(FrameType::kStats);
    header.encoding = FrameEncoding::kI64;
    header.step = static_cast<uint64_t>(order_.step);
    header.leaf_begin = order_.leaves.begin;
    header.leaf_end = order_.leaves.end;
    link->Push(header, MakeSmallFrame(header, bytes));
  }
}

void LeaseRun::LeafFailed(const Failure& failure) {
  MutexLock lock(&mutex_);
  if (outcome_ != Outcome::kOpen) return;
  failure_ = failure;
  outcome_ = Outcome::kFailed;
  cancelled_.store(true);
}

bool LeaseRun::OnAck(const FrameHeader& ack) {
  if (static_cast<int64_t>(ack.step) != order_.step || ack.leaves() != order_.leaves) return false;
  if (!IsRefusal(ack.verdict)) {
    MutexLock lock(&mutex_);
    if (acks_missing_ > 0 && --acks_missing_ == 0 && outcome_ == Outcome::kOpen) {
      outcome_ = Outcome::kDone;
      return true;
    }
    return false;
  }
  if (ack.verdict == Verdict::kNonfinite || ack.verdict == Verdict::kRange) {
    LeafFailed({order_.leaves.begin, "of blocks from " + std::to_string(ack.block_begin),
                "refused by the shard as not finite or out of range"});
    return true;
  }
  return SetOutcome(Outcome::kVoid);
}

bool LeaseRun::SetOutcome(Outcome outcome) {
  cancelled_.store(true);
  MutexLock lock(&mutex_);
  if (outcome_ != Outcome::kOpen) return false;
  outcome_ = outcome;
  return true;
}

void LeaseRun::Cancel() { (void)SetOutcome(Outcome::kVoid); }

LeaseRun::Outcome LeaseRun::outcome() const {
  MutexLock lock(&mutex_);
  return outcome_;
}

LeaseRun::Failure LeaseRun::failure() const {
  MutexLock lock(&mutex_);
  return failure_;
}

}  // namespace drover
