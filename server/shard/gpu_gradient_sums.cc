#include "server/shard/gpu_gradient_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/tensor/accumulate_gpu.h"
#include "common/tensor/fixed_point.h"
#include "server/optim/mean_gpu.h"
#include "server/optim/update_plan.h"

namespace drover {
namespace {

// Copied and checked while in the second-level cache.
constexpr size_t kPieceBytes = 64 << 10;

// The payload in one piece, and its checksum.
uint32_t CopyPayload(const ReceivedFrame& frame, std::byte* to) {
  uint32_t crc = 0;
  for (ByteSpan span : frame.payload()) {
    while (!span.empty()) {
      const size_t size = std::min(span.size(), kPieceBytes);
      std::memcpy(to, span.data(), size);
      crc = Crc32c(to, size, crc);
      to += size;
      span = span.subspan(size);
    }
  }
  return crc;
}

}  // namespace

struct GpuGradientSums::Lane {
  explicit Lane(GpuStream the_stream) : stream(std::move(the_stream)) {}

  const GpuStream stream;
  PinnedBuffer<std::byte> staging;       // A payload.
  DeviceBuffer<std::byte> payload;       // The same.
  PinnedBuffer<uint32_t> bad_on_host;    // [1]
  DeviceBuffer<uint32_t> bad;            // [1]
  PinnedBuffer<double> squares_on_host;  // [blocks of a chunk]
  DeviceBuffer<double> squares;          // The same.
  DeviceBuffer<double> strip_squares;    // [strips of a chunk]
};

class GpuGradientSums::LentLane {
 public:
  explicit LentLane(GpuGradientSums* sums) : sums_(sums) {
    {
      MutexLock lock(&sums->mutex_);
      if (!sums->free_lanes_.empty()) {
        lane_ = std::move(sums->free_lanes_.back());
        sums->free_lanes_.pop_back();
        return;
      }
    }
    Result<std::unique_ptr<Lane>> made = sums->MakeLane();
    EndProcessUnless(made.status(), "making buffers for another stream");
    lane_ = std::move(made).value();
  }
  ~LentLane() {
    MutexLock lock(&sums_->mutex_);
    sums_->free_lanes_.push_back(std::move(lane_));
  }
  LentLane(const LentLane&) = delete;
  LentLane& operator=(const LentLane&) = delete;
  Lane* operator->() const { return lane_.get(); }

 private:
  GpuGradientSums* const sums_;
  std::unique_ptr<Lane> lane_;
};

Result<std::unique_ptr<GpuGradientSums>> GpuGradientSums::Make(std::shared_ptr<GpuRange> range) {
  const Result<GpuStream> stream = GpuStream::Open(range->device);
  if (!stream.ok()) return stream.status();
  Result<PinnedBuffer<float>> mean = PinnedBuffer<float>::Make(range->device, range->elements);
  if (!mean.ok()) return mean.status();
  if (range->elements > 0) std::memset(mean.value().data(), 0, mean.value().bytes());
  const Layout& layout = *range->layout;
  const std::vector<uint32_t> no_groups(layout.tensors().size(), 0);
  std::vector<Chunk> chunks;
  for (const BlockRange blocks : layout.Chunks(range->owned)) {
    Result<UpdatePlanOnGpu> plan =
        UpdatePlanOnGpu::Copy(MakeUpdatePlan(layout, blocks, no_groups), stream.value());
    if (!plan.ok()) return plan.status();
    chunks.push_back({blocks, layout.SpanOffset(blocks) - layout.SpanOffset(range->owned),
                      layout.SpanElements(blocks), std::move(plan).value()});
  }
  std::unique_ptr<GpuGradientSums> sums(
      new GpuGradientSums(std::move(range), std::move(chunks), std::move(mean).value()));
  // The first one now, so that a GPU that is too small is refused when the range is placed.
  Result<std::unique_ptr<Lane>> lane = sums->MakeLane();
  if (!lane.ok()) return lane.status();
  MutexLock lock(&sums->mutex_);
  sums->free_lanes_.push_back(std::move(lane).value());
  return sums;
}

GpuGradientSums::GpuGradientSums(std::shared_ptr<GpuRange> range, std::vector<Chunk> chunks,
                                 PinnedBuffer<float> mean)
    : range_(std::move(range)),
      chunks_(std::move(chunks)),
      mean_(std::move(mean)),
      block_squares_(range_->owned.size(), 0.0) {}

GpuGradientSums::~GpuGradientSums() = default;

Result<std::unique_ptr<GpuGradientSums::Lane>> GpuGradientSums::MakeLane() const {
  size_t elements = 0;
  size_t blocks = 0;
  size_t strips = 0;
  for (const Chunk& chunk : chunks_) {
    elements = std::max<size_t>(elements, chunk.elements);
    blocks = std::max<size_t>(blocks, chunk.blocks.size());
    strips = std::max<size_t>(strips, chunk.plan.tables().strip_count);
  }
  Result<GpuStream> stream = GpuStream::Open(range_->device);
  if (!stream.ok()) return stream.status();
  auto lane = std::make_unique<Lane>(std::move(stream).value());
  Status status;
  const auto make = [&](auto* part, auto made) {
    if (status.ok()) status = made.status();
    if (status.ok()) *part = std::move(made).value();
  };
  const int device = range_->device;
  make(&lane->staging, PinnedBuffer<std::byte>::Make(device, elements * sizeof(int64_t)));
  make(&lane->payload, DeviceBuffer<std::byte>::Make(device, elements * sizeof(int64_t)));
  make(&lane->bad_on_host, PinnedBuffer<uint32_t>::Make(device, 1));
  make(&lane->bad, DeviceBuffer<uint32_t>::Make(device, 1));
  make(&lane->squares_on_host, PinnedBuffer<double>::Make(device, blocks));
  make(&lane->squares, DeviceBuffer<double>::Make(device, blocks));
  make(&lane->strip_squares, DeviceBuffer<double>::Make(device, strips));
  if (!status.ok()) return status;
  return lane;
}

PayloadOutcome GpuGradientSums::Sum(size_t index, const ReceivedFrame& frame,
                                    const PayloadRules& rules) {
  const Chunk& chunk = chunks_[index];
  const FrameHeader& header = frame.header();
  const bool is_float = header.encoding == FrameEncoding::kF32;
  const size_t element_bytes = is_float ? sizeof(float) : sizeof(int64_t);
  DROVER_CHECK(header.payload_bytes == chunk.elements * element_bytes);
  LentLane lane(this);
  if (CopyPayload(frame, lane->staging.data()) != header.payload_crc) {
    return {Verdict::kChecksum, 0};
  }
  const auto sum = [&]() -> Status {
    DROVER_RETURN_IF_ERROR(CopyBytesToDevice(lane->stream, lane->payload.data(),
                                             lane->staging.data(), header.payload_bytes));
    const AccumulateInput input = {lane->payload.data(),
                                   is_float ? GradientEncoding::kF32 : GradientEncoding::kI64,
                                   rules.limit_f32, rules.limit_i64};
    DROVER_RETURN_IF_ERROR(AccumulateOnGpu(
        {&input, 1}, static_cast<uint32_t>(chunk.elements), rules.store, rules.scale,
        range_->sums.data() + chunk.first, lane->bad.data(), lane->stream));
    DROVER_RETURN_IF_ERROR(CopyToHost(lane->stream, lane->bad.data(), lane->bad_on_host.span()));
    return lane->stream.Wait();
  };
  EndProcessUnless(sum(), "adding a gradient");
  const uint32_t bad = *lane->bad_on_host.data();
  if (bad == kNoBadElement) return {};
  if (!is_float) return {Verdict::kRange, bad};
  float value;
  std::memcpy(&value, lane->staging.data() + bad * sizeof(value), sizeof(value));
  return {std::isfinite(value) ? Verdict::kRange : Verdict::kNonfinite, bad};
}

void GpuGradientSums::ToMean(size_t index, double factor) {
  const Chunk& chunk = chunks_[index];
  LentLane lane(this);
  float* mean = range_->mean.data() + chunk.first;
  const auto convert = [&]() -> Status {
    DROVER_RETURN_IF_ERROR(ConvertOnGpu(chunk.plan.tables(), range_->sums.data() + chunk.first,
                                        factor, mean, lane->strip_squares.data(),
                                        lane->squares.data(), lane->stream));
    DROVER_RETURN_IF_ERROR(
        CopyToHost(lane->stream, mean, mean_.span().subspan(chunk.first, chunk.elements)));
    DROVER_RETURN_IF_ERROR(CopyToHost(lane->stream, lane->squares.data(),
                                      lane->squares_on_host.span().first(chunk.blocks.size())));
    return lane->stream.Wait();
  };
  EndProcessUnless(convert(), "converting sums");
  std::copy_n(lane->squares_on_host.data(), chunk.blocks.size(),
              block_squares_.begin() + (chunk.blocks.begin - range_->owned.begin));
}

void GpuGradientSums::LoadMean(size_t index, std::span<const float> mean) {
  const Chunk& chunk = chunks_[index];
  DROVER_CHECK(mean.size() == chunk.elements);
  LentLane lane(this);
  float* host = mean_.data() + chunk.first;
  std::copy(mean.begin(), mean.end(), host);
  const auto load = [&]() -> Status {
    DROVER_RETURN_IF_ERROR(CopyToDevice(lane->stream,
                                        mean_.span().subspan(chunk.first, chunk.elements),
                                        range_->mean.data() + chunk.first));
    return lane->stream.Wait();
  };
  EndProcessUnless(load(), "restoring a gradient");
  const FixedPointPasses& passes = FixedPointPassesFor(BestIsa());
  for (uint32_t b = chunk.blocks.begin; b < chunk.blocks.end; ++b) {
    const Block& block = range_->layout->blocks()[b];
    const float* values = host + (block.offset - range_->layout->SpanOffset(chunk.blocks));
    block_squares_[b - range_->owned.begin] = passes.sum_squares(values, block.size);
  }
}

std::span<const float> GpuGradientSums::mean(size_t index) const {
  const Chunk& chunk = chunks_[index];
  return mean_.span().subspan(chunk.first, chunk.elements);
}

size_t GpuGradientSums::bytes() const {
  return range_->sums.bytes() + range_->mean.bytes() + mean_.bytes();
}

}  // namespace drover
