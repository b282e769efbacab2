#include "worker/comm/local_slices.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace drover {

LocalSlices::LocalSlices(const Layout& layout, std::vector<BlockRange> chunks, int ranks)
    : chunks_(std::move(chunks)) {
  DROVER_CHECK(ranks >= 1);
  uint64_t total = 0;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    DROVER_CHECK(chunks_[i].size() > 0 && chunks_[i].end <= layout.block_count());
    DROVER_CHECK(i == 0 || chunks_[i].begin == chunks_[i - 1].end);
    chunk_offsets_.push_back(layout.SpanOffset(chunks_[i]));
    chunk_elements_.push_back(layout.SpanElements(chunks_[i]));
    total += chunk_elements_.back();
  }
  rank_of_chunk_.resize(chunks_.size());
  slices_.resize(static_cast<size_t>(ranks));
  uint64_t placed = 0;
  size_t chunk = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    // The chunk that crosses the even share goes to the side where more of it lies.
    const uint64_t target =
        total * (static_cast<uint64_t>(rank) + 1) / static_cast<uint64_t>(ranks);
    Slice& slice = slices_[static_cast<size_t>(rank)];
    slice.first_chunk = chunk;
    while (chunk < chunks_.size() &&
           (rank + 1 == ranks || placed + chunk_elements_[chunk] / 2 < target)) {
      placed += chunk_elements_[chunk];
      rank_of_chunk_[chunk] = rank;
      ++chunk;
    }
    slice.chunk_count = chunk - slice.first_chunk;
    if (slice.chunk_count == 0) continue;
    const BlockRange blocks = {chunks_[slice.first_chunk].begin, chunks_[chunk - 1].end};
    slice.offset = layout.SpanOffset(blocks);
    slice.elements = layout.SpanElements(blocks);
    const uint64_t aligned =
        (slice.elements + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
    slice_elements_ = std::max(slice_elements_, aligned);
  }
}

uint64_t LocalSlices::OffsetInSlice(size_t chunk) const {
  return chunk_offsets_[chunk] - slice(RankOf(chunk)).offset;
}

uint64_t LocalSlices::PaddedOffset(size_t chunk) const {
  return static_cast<uint64_t>(RankOf(chunk)) * slice_elements_ + OffsetInSlice(chunk);
}

}  // namespace drover
