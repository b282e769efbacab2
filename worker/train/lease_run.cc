#include "worker/train/lease_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

namespace drover {
namespace {

bool Overlap(BlockRange a, BlockRange b) { return a.begin < b.end && b.begin < a.end; }

}  // namespace

LeaseRun::LeaseRun(const Order& order, const LeaseContext& context,
                   std::shared_ptr<const Weights> weights)
    : order_(order),
      context_(context),
      leaf_limit_(LeafLimit(context.leaf_samples)),
      scale_(FixedPointScale(context.fraction_bits)),
      passes_(FixedPointPassesFor(BestIsa())),
      weights_(std::move(weights)),
      started_(Clock::Real().Now()),
      reduction_(context_.reduce != nullptr ? context_.reduce->Begin() : 0),
      next_leaf_(order.leaves.begin),
      leaves_end_(order.leaves.end),
      tensors_(context_.layout->tensors().size()),
      tensors_missing_(context_.chunks->chunks.size()),
      segments_missing_(context_.reduce != nullptr ? context_.chunks->chunks.size() : 0),
      leaves_left_out_(context_.reduce != nullptr ? context_.reduce->segments().blocks.size() : 0),
      leaves_missing_(order.leaves.size()),
      acknowledged_(context_.chunks->chunks.size() + context_.chunks->chunks_in_part.size(), false),
      acks_missing_(acknowledged_.size()) {
  if (order_.leaves.size() == 1) {
    single_ = context_.floats->Take();
  } else {
    sums_ = context_.sums->Take();
  }
  for (TensorState& tensor : tensors_) {
    MutexLock lock(&tensor.mutex);
    tensor.leaves_missing = order_.leaves.size();
  }
  for (size_t i = 0; i < tensors_missing_.size(); ++i) {
    tensors_missing_[i].store(context_.chunks->chunks[i].tensors, std::memory_order_relaxed);
  }
  for (size_t i = 0; i < segments_missing_.size(); ++i) {
    const BlockRange chunk = context_.chunks->chunks[i].blocks;
    const std::vector<BlockRange>& segments = context_.reduce->segments().blocks;
    const auto count = std::count_if(segments.begin(), segments.end(),
                                     [&](BlockRange segment) { return Overlap(segment, chunk); });
    segments_missing_[i].store(static_cast<uint32_t>(count), std::memory_order_relaxed);
  }
  for (std::atomic<uint32_t>& leaves : leaves_left_out_) leaves.store(order_.leaves.size());
}

// ---- Lanes.

void LeaseRun::RunOn(LeafRunner* runner, float* lane_buffer) {
  if (runner->adds_leaves() && sums_ != nullptr) return AddLeavesOn(runner);
  std::vector<double> squares(tensors_.size());  // Of the leaf.
  Duration encoding(0);                          // Within on_final.
  while (const std::optional<uint32_t> leaf = NextLeaf()) {
    float* gradient = LeafBuffer(lane_buffer);
    LeafTimes times;
    encoding = Duration(0);
    const Result<StepStats> stats = runner->RunLeaf(
        order_.step, *leaf, weights_->view(), gradient,
        [&](size_t tensor) { squares[tensor] = TensorFinal(*leaf, tensor, gradient, &encoding); },
        cancelled_, &times);
    if (stats.ok()) {
      times.encode = encoding;
      times.reduce -= encoding;
      context_.metrics->CountLeaf(stats.value().samples, context_.sample_flops, times);
      // Of a device that adds leaves, only some would be known, by the luck of the leases.
      LeafFinal(stats.value(), runner->adds_leaves() ? kUnknownSquareTotal
                                                     : SquareTotalOf(std::accumulate(
                                                           squares.begin(), squares.end(), 0.0)));
    } else if (stats.status().code() != Code::kCancelled) {
      End(Outcome::kBroken, {*leaf, "", stats.status().ToString()});
    }
  }
}

// Which leaf is a lane's last must be known before it begins, so the next one is taken early.
void LeaseRun::AddLeavesOn(LeafRunner* runner) {
  std::shared_ptr<SumBuffer> own;  // Only where other lanes have some of the leaves.
  uint32_t begun = 0;
  std::optional<uint32_t> next = NextLeaf();
  while (const std::optional<uint32_t> leaf = next) {
    next = NextLeaf();
    ++begun;
    const bool shared = !next && begun < leaves().size();
    std::function<Status(size_t, const GpuStream&, const int64_t*)> deposit;
    if (shared && context_.reduce != nullptr) {
      deposit = [&, missing = context_.reduce->segments().tensors](
                    size_t tensor, const GpuStream& stream, const int64_t* on_device) mutable {
        return TensorDeposited(begun, tensor, stream, on_device, &missing);
      };
    } else if (shared) {
      own = context_.sums->Take();
    }
    int64_t* const sums = own != nullptr ? own->data() : sums_->data();
    Duration encoding(0);  // Within on_final.
    const auto on_final = [&](size_t tensor) {
      TensorSummed(begun, tensor, own != nullptr ? sums : nullptr, &encoding);
    };
    LeafTimes times;
    const Result<LeafRunner::Added> added = runner->AddLeaf(order_.step, *leaf, weights_->view(),
                                                            {.scale = scale_,
                                                             .limit = leaf_limit_,
                                                             .first = begun == 1,
                                                             .last = !next,
                                                             .sums = sums,
                                                             .on_final = on_final,
                                                             .deposit = deposit},
                                                            cancelled_, &times);
    if (!added.ok()) {
      if (added.status().code() == Code::kCancelled) return;
      return End(Outcome::kBroken, {*leaf, "", added.status().ToString()});
    }
    if (const std::optional<BadElement>& bad = added.value().bad) {
      return EndAsBad(*leaf, bad->tensor, bad->element, bad->value);
    }
    times.encode = encoding;
    times.reduce -= encoding;
    context_.metrics->CountLeaf(added.value().stats.samples, context_.sample_flops, times);
    LeafFinal(added.value().stats, kUnknownSquareTotal);
  }
}

Status LeaseRun::TensorDeposited(uint32_t leaves, size_t tensor, const GpuStream& stream,
                                 const int64_t* sums, std::vector<uint32_t>* missing) {
  for (const size_t segment : context_.reduce->segments().of_tensor[tensor]) {
    if (--(*missing)[segment] > 0) continue;
    DROVER_RETURN_IF_ERROR(context_.reduce->Deposit(reduction_, segment, stream, sums));
    if (leaves_left_out_[segment].fetch_sub(leaves) == leaves) {
      DROVER_RETURN_IF_ERROR(FinishSegment(segment));
    }
  }
  return Status();
}

// By the lane that comes last, whose GPU goes on with the layers before.
Status LeaseRun::FinishSegment(size_t segment) {
  DROVER_RETURN_IF_ERROR(context_.reduce->Finish(reduction_, segment, sums_->data()));
  const BlockRange blocks = context_.reduce->segments().blocks[segment];
  for (size_t chunk = segments_missing_.size(); chunk-- > 0;) {
    if (!Overlap(context_.chunks->chunks[chunk].blocks, blocks)) continue;
    if (segments_missing_[chunk].fetch_sub(1) == 1 && !cancelled_.load()) PushChunk(chunk);
  }
  return Status();
}

std::optional<uint32_t> LeaseRun::NextLeaf() {
  if (cancelled_.load()) return std::nullopt;
  const uint32_t leaf = next_leaf_.fetch_add(1);
  if (leaf >= order_.leaves.end) return std::nullopt;
  return leaf;
}

// Nothing is pushed before every leaf was begun, so no frame names the leaves that go.
std::optional<uint32_t> LeaseRun::GiveBack() {
  if (cancelled_.load()) return std::nullopt;
  const uint32_t end = next_leaf_.exchange(order_.leaves.end);
  if (end >= order_.leaves.end) return std::nullopt;
  if (end == order_.leaves.begin) {
    End(Outcome::kVoid, {});
    return end;
  }
  leaves_end_.store(end);
  const uint32_t returned = order_.leaves.end - end;
  for (size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    bool whole = false;
    {
      MutexLock lock(&tensors_[tensor].mutex);
      tensors_[tensor].leaves_missing -= returned;
      whole = tensors_[tensor].leaves_missing == 0;
    }
    if (whole) TensorIsWhole(tensor, nullptr);
  }
  // A lane that found no further leaf may have left its last one there already.
  for (size_t segment = 0; segment < leaves_left_out_.size(); ++segment) {
    if (leaves_left_out_[segment].fetch_sub(returned) != returned) continue;
    const Status finished = FinishSegment(segment);
    if (!finished.ok()) End(Outcome::kBroken, {order_.leaves.begin, "", finished.ToString()});
  }
  bool whole = false;
  {
    MutexLock lock(&mutex_);
    leaves_missing_ -= returned;
    whole = leaves_missing_ == 0;
  }
  if (whole && !cancelled_.load()) PushStats();
  return end;
}

float* LeaseRun::LeafBuffer(float* lane_buffer) {
  return single_ != nullptr ? single_->data() : lane_buffer;
}

double LeaseRun::TensorFinal(uint32_t leaf, size_t tensor, const float* gradient,
                             Duration* encoding) {
  const uint64_t offset = context_.layout->tensor_offset(tensor);
  const size_t size = context_.layout->tensor_size(tensor);
  // Block by block, so that the squares read from the cache what the check has brought there.
  double squares = 0.0;
  for (size_t begin = 0; begin < size; begin += kBlockElements) {
    const float* const block = gradient + offset + begin;
    const size_t count = std::min<size_t>(kBlockElements, size - begin);
    const int64_t bad = passes_.find_bad_f32(block, count, leaf_limit_);
    if (bad >= 0) {
      EndAsBad(leaf, tensor, begin + static_cast<uint64_t>(bad), block[bad]);
      return 0.0;
    }
    squares += passes_.sum_squares(block, count);
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
  if (whole) TensorIsWhole(tensor, encoding);
  return squares;
}

void LeaseRun::TensorSummed(uint32_t leaves, size_t tensor, const int64_t* sums,
                            Duration* encoding) {
  bool whole = false;
  {
    TensorState& state = tensors_[tensor];
    MutexLock lock(&state.mutex);
    if (sums != nullptr) {
      const uint64_t offset = context_.layout->tensor_offset(tensor);
      const size_t size = context_.layout->tensor_size(tensor);
      int64_t* const total = sums_->data() + offset;
      if (state.empty) {
        std::copy_n(sums + offset, size, total);
      } else {
        passes_.add_i64(sums + offset, size, total);
      }
    }
    state.empty = false;
    state.leaves_missing -= leaves;
    whole = state.leaves_missing == 0;
  }
  if (whole) TensorIsWhole(tensor, encoding);
}

void LeaseRun::EndAsBad(uint32_t leaf, size_t tensor, uint64_t element, float value) {
  const char* why = std::isfinite(value) ? ", beyond the range of fixed point" : "";
  End(Outcome::kFailed, {leaf, context_.layout->tensors()[tensor].name,
                         fmt::format("element {} is {}{}", element, value, why)});
}

void LeaseRun::TensorIsWhole(size_t tensor, Duration* encoding) {
  if (cancelled_.load()) return;
  const Instant begin = Clock::Real().Now();
  for (const size_t chunk : context_.chunks->chunks_of_tensor[tensor]) {
    if (tensors_missing_[chunk].fetch_sub(1) == 1) PushChunk(chunk);
  }
  if (encoding != nullptr) *encoding += Clock::Real().Now() - begin;
}

void LeaseRun::LeafFinal(const StepStats& stats, const SquareTotal& squares) {
  bool whole = false;
  {
    MutexLock lock(&mutex_);
    stats_.loss += stats.loss;
    stats_.correct += stats.correct;
    stats_.samples += stats.samples;
    stats_.tokens += stats.tokens;
    stats_.squares = Sum(stats_.squares, squares);
    whole = --leaves_missing_ == 0;
    computed_ = Clock::Real().Now();
  }
  if (whole && !cancelled_.load()) PushStats();
}

// ---- Shards.

FrameHeader LeaseRun::NewHeader(FrameType type) const {
  FrameHeader header = context_.header;
  header.type = type;
  header.step = static_cast<uint64_t>(order_.step);
  header.leaf_begin = leaves().begin;
  header.leaf_end = leaves().end;
  return header;
}

void LeaseRun::PushChunk(size_t chunk) {
  const ChunkMap::Chunk& where = context_.chunks->chunks[chunk];
  const uint64_t offset = context_.layout->SpanOffset(where.blocks);
  const uint64_t elements = context_.layout->SpanElements(where.blocks);
  FrameHeader header = NewHeader(FrameType::kGradient);
  header.block_begin = where.blocks.begin;
  header.block_count = where.blocks.size();
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
  header.payload_bytes = static_cast<uint32_t>(payload[0].size());
  header.payload_crc = PayloadCrc(payload);
  context_.push(where.part, header, MakeOwnedFrame(header, payload, std::move(owner)));
}

void LeaseRun::PushStats() {
  std::array<std::byte, kStepStatsBytes> bytes;
  {
    MutexLock lock(&mutex_);
    EncodeStepStats(stats_, bytes);
  }
  for (size_t part = 0; part < context_.chunks->chunks_in_part.size(); ++part) {
    FrameHeader header = NewHeader(FrameType::kStats);
    header.encoding = FrameEncoding::kI64;
    context_.push(part, header, MakeSmallFrame(header, bytes));
  }
}

void LeaseRun::OnAck(size_t part, const FrameHeader& ack) {
  if (static_cast<int64_t>(ack.step) != order_.step || ack.leaves() != leaves()) return;
  if (ack.verdict == Verdict::kNonfinite || ack.verdict == Verdict::kRange) {
    return End(Outcome::kFailed, {order_.leaves.begin, fmt::format("block {}", ack.block_begin),
                                  "refused by the shard as not finite or out of range"});
  }
  if (IsRefusal(ack.verdict)) return End(Outcome::kVoid, {});
  const std::optional<size_t> chunk = ack.block_count == 0 ? context_.chunks->chunks.size() + part
                                                           : context_.chunks->Find(ack.blocks());
  bool all = false;
  {
    MutexLock lock(&mutex_);
    if (!chunk || acknowledged_[*chunk]) return;
    acknowledged_[*chunk] = true;
    all = --acks_missing_ == 0;
  }
  if (all) End(Outcome::kDone, {});
}

// ---- The end.

void LeaseRun::End(Outcome outcome, const Failure& failure) {
  {
    MutexLock lock(&mutex_);
    if (outcome_ != Outcome::kOpen) return;
    outcome_ = outcome;
    failure_ = failure;
    ended_ = Clock::Real().Now();
  }
  cancelled_.store(true);
  context_.on_change();
}

LeaseRun::Outcome LeaseRun::outcome() const {
  MutexLock lock(&mutex_);
  return outcome_;
}

LeaseRun::Failure LeaseRun::failure() const {
  MutexLock lock(&mutex_);
  return failure_;
}

Duration LeaseRun::duration() const {
  MutexLock lock(&mutex_);
  return ended_ - started_;
}

Duration LeaseRun::push_duration() const {
  MutexLock lock(&mutex_);
  // A lease whose chunks all came from an earlier one can end before its last leaf.
  return leaves_missing_ == 0 ? ended_ - computed_ : Duration(0);
}

}  // namespace drover
