#include "server/shard/accumulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/tensor/fixed_point.h"
#include "server/shard/accumulator_chunk.h"
#include "server/shard/host_gradient_sums.h"

namespace drover {
namespace {

// More of a worker's text is not kept.
constexpr size_t kCulpritTextBytesMax = 256;
// Statistics of one frame stay below this, so that all leaves together cannot overflow.
constexpr int64_t kStatsLimit = int64_t{1} << 50;

Status CheckShape(const StepShape& shape, int fraction_bits) {
  if (shape.leaves < 1 || shape.leaves > kLeavesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("leaves={}: expected 1 to {}", shape.leaves, kLeavesMax));
  }
  if (shape.batch < 1 || shape.batch % shape.leaves != 0) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("batch={} is not a positive multiple of leaves={}", shape.batch, shape.leaves));
  }
  // The same bound as FixedPointLimit's: a sum over the batch must stay below 2^62.
  if (fraction_bits < 0 || fraction_bits > kFractionBitsMax ||
      shape.batch > (int64_t{1} << 48) >> fraction_bits) {
    return Status(Code::kInvalidArgument,
                  fmt::format("fraction_bits={} with batch={}: expected 0 to 48 - log2(batch)",
                              fraction_bits, shape.batch));
  }
  return Status();
}

Status CheckOptions(const Layout& layout, const AccumulatorOptions& options) {
  if (options.shapes.empty() || options.shapes.front().first_step != 0) {
    return Status(Code::kInvalidArgument, "shapes: expected one of step 0");
  }
  for (const StepShape& shape : options.shapes) {
    DROVER_RETURN_IF_ERROR(CheckShape(shape, options.fraction_bits));
  }
  if (options.owned.begin > options.owned.end || options.owned.end > layout.block_count()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("owned blocks [{}, {}) of a layout with {} blocks",
                              options.owned.begin, options.owned.end, layout.block_count()));
  }
  return Status();
}

bool StatsAreValid(const StepStats& stats, int64_t samples) {
  return stats.samples == samples && stats.loss > -kStatsLimit && stats.loss < kStatsLimit &&
         stats.correct >= 0 && stats.correct < kStatsLimit && stats.tokens >= 0 &&
         stats.tokens < kStatsLimit;
}

std::string Printable(std::string text) {
  if (text.size() > kCulpritTextBytesMax) text.resize(kCulpritTextBytesMax);
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<Accumulator>> Accumulator::Make(std::shared_ptr<const Layout> layout,
                                                       const AccumulatorOptions& options,
                                                       std::unique_ptr<GradientSums> sums) {
  DROVER_RETURN_IF_ERROR(CheckOptions(*layout, options).Annotate("accumulator"));
  return std::unique_ptr<Accumulator>(new Accumulator(std::move(layout), options, std::move(sums)));
}

Result<std::unique_ptr<Accumulator>> Accumulator::Make(std::shared_ptr<const Layout> layout,
                                                       const AccumulatorOptions& options) {
  DROVER_RETURN_IF_ERROR(CheckOptions(*layout, options).Annotate("accumulator"));
  auto sums = std::make_unique<HostGradientSums>(layout, options.owned);
  return Make(std::move(layout), options, std::move(sums));
}

Accumulator::Accumulator(std::shared_ptr<const Layout> layout, const AccumulatorOptions& options,
                         std::unique_ptr<GradientSums> sums)
    : layout_(std::move(layout)), options_(options), sums_(std::move(sums)) {
  const auto add_part = [&](BlockRange blocks) {
    auto part = std::make_unique<Chunk>();
    part->blocks = blocks;
    part->index = chunks_.size();
    part->elements = layout_->SpanElements(blocks);
    MutexLock lock(&part->mutex);
    part->gate = {options_.job, layout_->hash(), 0, std::nullopt};
    part->shape = options_.shapes.front();
    part->leaves = LeafSet(part->shape.leaves);
    return part;
  };
  for (const BlockRange blocks : layout_->Chunks(options_.owned)) {
    chunks_.push_back(add_part(blocks));
  }
  statistics_ = add_part(BlockRange());
}

Accumulator::~Accumulator() = default;

void Accumulator::Open(uint32_t epoch, uint64_t step) {
  uint64_t generation;
  {
    MutexLock lock(&mutex_);
    generation = ++generation_;
    parts_complete_ = 0;
    culprit_.reset();
  }
  const StepShape& shape = ShapeAt(options_.shapes, static_cast<int64_t>(step));
  for (const auto& chunk : chunks_) chunk->Open(generation, epoch, step, shape);
  statistics_->Open(generation, epoch, step, shape);
}

void Accumulator::AdoptEpoch(uint32_t epoch) {
  for (const auto& chunk : chunks_) {
    MutexLock lock(&chunk->mutex);
    chunk->gate.epoch = epoch;
  }
  MutexLock lock(&statistics_->mutex);
  statistics_->gate.epoch = epoch;
}

void Accumulator::Close() {
  for (const auto& chunk : chunks_) {
    MutexLock lock(&chunk->mutex);
    chunk->gate.step.reset();
  }
  MutexLock lock(&statistics_->mutex);
  statistics_->gate.step.reset();
}

ReceiveResult Accumulator::Receive(const ReceivedFrame& frame, std::string_view worker) {
  ReceiveResult result;
  switch (frame.header().type) {
    case FrameType::kGradient:
      result = ReceiveGradient(frame, worker);
      break;
    case FrameType::kStats:
      result = ReceiveStats(frame, worker);
      break;
    case FrameType::kNonfinite:
      result = ReceiveNonfinite(frame, worker);
      break;
    case FrameType::kHello:
    case FrameType::kPull:
    case FrameType::kWeights:
    case FrameType::kAck:
    case FrameType::kGone:
      DROVER_CHECK(false);  // The stream's owner sorts frames by type.
  }
  Count(frame.header(), result);
  return result;
}

Accumulator::Chunk* Accumulator::FindChunk(uint32_t block_begin) const {
  const auto found = std::lower_bound(chunks_.begin(), chunks_.end(), block_begin,
                                      [](const std::unique_ptr<Chunk>& chunk, uint32_t begin) {
                                        return chunk->blocks.begin < begin;
                                      });
  if (found == chunks_.end() || (*found)->blocks.begin != block_begin) return nullptr;
  return found->get();
}

ReceiveResult Accumulator::ReceiveGradient(const ReceivedFrame& frame, std::string_view worker) {
  const FrameHeader& header = frame.header();
  ReceiveResult result;
  Chunk* chunk = FindChunk(header.block_begin);
  if (chunk == nullptr) {
    // The fence first: a worker of the past may believe in another placement.
    MutexLock lock(&statistics_->mutex);
    result.verdict = CheckFence(statistics_->gate, statistics_->shape.leaves, header);
    if (result.verdict == Verdict::kNone) result.verdict = Verdict::kLayout;
    return result;
  }
  uint64_t generation;
  PayloadOutcome outcome;
  {
    MutexLock lock(&chunk->mutex);
    generation = chunk->generation;
    result.verdict =
        DecideGradient(chunk->gate, {chunk->blocks, chunk->elements, &chunk->leaves}, header);
    if (result.verdict == Verdict::kDuplicate) {
      chunk->CompareWithSeen(header, worker, &result);
    }
    if (result.verdict != Verdict::kStored && result.verdict != Verdict::kAdded) return result;
    PayloadRules rules;
    rules.store = result.verdict == Verdict::kStored;
    const int64_t leaf_samples = chunk->shape.leaf_samples();
    rules.limit_f32 = LeafLimit(leaf_samples);
    rules.limit_i64 =
        FixedPointLimit(leaf_samples * header.leaves().size(), options_.fraction_bits);
    rules.scale = FixedPointScale(options_.fraction_bits);
    outcome = sums_->Sum(chunk->index, frame, rules);
    if (outcome.refusal == Verdict::kNone) {
      chunk->Add(header, worker);
      result.chunk_complete = chunk->leaves.full();
      if (result.chunk_complete) {
        sums_->ToMean(chunk->index,
                      FixedPointMeanFactor(options_.fraction_bits, chunk->shape.batch));
      }
    }
  }
  if (outcome.refusal != Verdict::kNone) {
    result.verdict = outcome.refusal;
    result.culprit = outcome.refusal != Verdict::kChecksum;
    if (result.culprit) {
      KeepCulprit(generation,
                  MakeCulprit(*chunk, header, outcome.refusal, outcome.element, worker));
    }
  }
  if (result.chunk_complete) result.step_complete = PartIsComplete(generation);
  return result;
}

ReceiveResult Accumulator::ReceiveStats(const ReceivedFrame& frame, std::string_view worker) {
  const FrameHeader& header = frame.header();
  ReceiveResult result;
  uint64_t generation;
  {
    MutexLock lock(&statistics_->mutex);
    generation = statistics_->generation;
    result.verdict = DecideStats(statistics_->gate, statistics_->leaves, header);
    if (result.verdict == Verdict::kDuplicate) {
      statistics_->CompareWithSeen(header, worker, &result);
    }
    if (result.verdict != Verdict::kStored && result.verdict != Verdict::kAdded) return result;
    if (!frame.PayloadCrcMatches()) {
      result.verdict = Verdict::kChecksum;
      return result;
    }
    const std::string bytes = frame.PayloadText();
    const StepStats stats = DecodeStepStats(AsBytes(bytes).first<kStepStatsBytes>());
    const int64_t samples = statistics_->shape.leaf_samples() * header.leaves().size();
    if (!StatsAreValid(stats, samples)) {
      result.verdict = Verdict::kRange;
      return result;
    }
    statistics_->stats.loss += stats.loss;
    statistics_->stats.correct += stats.correct;
    statistics_->stats.samples += stats.samples;
    statistics_->stats.tokens += stats.tokens;
    statistics_->stats.squares = Sum(statistics_->stats.squares, stats.squares);
    statistics_->Add(header, worker);
    result.chunk_complete = statistics_->leaves.full();
  }
  if (result.chunk_complete) result.step_complete = PartIsComplete(generation);
  return result;
}

ReceiveResult Accumulator::ReceiveNonfinite(const ReceivedFrame& frame, std::string_view worker) {
  const FrameHeader& header = frame.header();
  ReceiveResult result;
  uint64_t generation;
  {
    MutexLock lock(&statistics_->mutex);
    generation = statistics_->generation;
    result.verdict = CheckFence(statistics_->gate, statistics_->shape.leaves, header);
  }
  if (result.verdict != Verdict::kNone) return result;
  if (!frame.PayloadCrcMatches()) {
    result.verdict = Verdict::kChecksum;
    return result;
  }
  result.verdict = Verdict::kNonfinite;
  result.culprit = true;
  KeepCulprit(generation, {header.leaves(), Verdict::kNonfinite, Printable(frame.PayloadText()), 0,
                           std::string(worker)});
  return result;
}

Culprit Accumulator::MakeCulprit(const Chunk& chunk, const FrameHeader& header, Verdict reason,
                                 uint64_t element, std::string_view worker) const {
  const uint64_t at = layout_->SpanOffset(chunk.blocks) + element;
  uint32_t block = chunk.blocks.begin;
  while (block + 1 < chunk.blocks.end && layout_->blocks()[block + 1].offset <= at) ++block;
  const uint32_t tensor = layout_->blocks()[block].tensor;
  return {header.leaves(), reason, layout_->tensors()[tensor].name,
          at - layout_->tensor_offset(tensor), std::string(worker)};
}

bool Accumulator::PartIsComplete(uint64_t generation) {
  MutexLock lock(&mutex_);
  if (generation != generation_) return false;
  ++parts_complete_;
  return parts_complete_ == chunks_.size() + 1;
}

void Accumulator::KeepCulprit(uint64_t generation, Culprit culprit) {
  MutexLock lock(&mutex_);
  if (generation == generation_ && !culprit_.has_value()) culprit_ = std::move(culprit);
}

void Accumulator::Count(const FrameHeader& header, const ReceiveResult& result) {
  MutexLock lock(&mutex_);
  ++counters_.frames[static_cast<size_t>(result.verdict)];
  if (result.nondeterministic) ++counters_.nondeterministic;
  if (result.verdict == Verdict::kStored || result.verdict == Verdict::kAdded) {
    counters_.payload_bytes += header.payload_bytes;
  }
}

}  // namespace drover
