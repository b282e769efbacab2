#include "server/shard/host_gradient_sums.h"

#include <cstring>
#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

// Chunks begin on a cache line.
constexpr uint64_t kChunkAlignment = kCacheLineBytes / sizeof(int64_t);

}  // namespace

HostGradientSums::HostGradientSums(std::shared_ptr<const Layout> layout, BlockRange owned)
    : layout_(std::move(layout)),
      owned_(owned),
      passes_(FixedPointPassesFor(BestIsa())),
      block_squares_(owned.size(), 0.0) {
  uint64_t elements = 0;
  for (const BlockRange blocks : layout_->Chunks(owned)) {
    chunks_.push_back({blocks, elements, layout_->SpanElements(blocks)});
    elements += (chunks_.back().elements + kChunkAlignment - 1) / kChunkAlignment * kChunkAlignment;
  }
  sums_ = Buffer<int64_t>(elements);
}

PayloadOutcome HostGradientSums::Sum(size_t chunk, const ReceivedFrame& frame,
                                     const PayloadRules& rules) {
  const Chunk& where = chunks_[chunk];
  return SumPayload(passes_, frame, rules, sums_.span().subspan(where.first, where.elements));
}

void HostGradientSums::ToMean(size_t chunk, double factor) {
  const Chunk& where = chunks_[chunk];
  const uint64_t base = layout_->SpanOffset(where.blocks);
  int64_t* sums = sums_.data() + where.first;
  float* mean = reinterpret_cast<float*>(sums);
  uint64_t done = 0;
  for (uint32_t b = where.blocks.begin; b < where.blocks.end; ++b) {
    const Block& block = layout_->blocks()[b];
    const uint64_t begin = block.offset - base;
    std::memset(static_cast<void*>(mean + done), 0, (begin - done) * sizeof(float));
    block_squares_[b - owned_.begin] = passes_.mean(sums + begin, block.size, factor, mean + begin);
    done = begin + block.size;
  }
}

void HostGradientSums::LoadMean(size_t chunk, std::span<const float> mean) {
  const Chunk& where = chunks_[chunk];
  DROVER_CHECK(mean.size() == where.elements);
  float* own = reinterpret_cast<float*>(sums_.data() + where.first);
  std::memcpy(static_cast<void*>(own), mean.data(), mean.size_bytes());
  for (uint32_t b = where.blocks.begin; b < where.blocks.end; ++b) {
    const Block& block = layout_->blocks()[b];
    block_squares_[b - owned_.begin] =
        passes_.sum_squares(own + (block.offset - layout_->SpanOffset(where.blocks)), block.size);
  }
}

std::span<const float> HostGradientSums::mean(size_t chunk) const {
  const Chunk& where = chunks_[chunk];
  return {reinterpret_cast<const float*>(sums_.data() + where.first), where.elements};
}

}  // namespace drover
