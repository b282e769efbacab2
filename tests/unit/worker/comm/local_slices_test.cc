#include "worker/comm/local_slices.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace drover {
namespace {

// Every block a chunk of its own, so that small layouts have many.
std::vector<BlockRange> SingleBlocks(const Layout& layout) {
  std::vector<BlockRange> chunks;
  for (uint32_t block = 0; block < layout.block_count(); ++block) {
    chunks.push_back({block, block + 1});
  }
  return chunks;
}

Layout Uneven() {
  return Layout::Make({{"a", {2 * kBlockElements + 5}, {}},
                       {"b", {3}, {}},
                       {"c", {kBlockElements - 1}, {}},
                       {"d", {1}, {}},
                       {"e", {4 * kBlockElements}, {}}})
      .value();
}

TEST(LocalSlicesTest, EveryChunkLiesOnceInTheSliceOfItsRank) {
  const Layout layout = Uneven();
  const std::vector<BlockRange> chunks = SingleBlocks(layout);
  for (const int ranks : {1, 2, 3, 4, 8, 16}) {
    const LocalSlices slices(layout, chunks, ranks);

    uint64_t free_from = 0;
    size_t seen = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const LocalSlices::Slice& slice = slices.slice(rank);
      const uint64_t begin = static_cast<uint64_t>(rank) * slices.slice_elements();
      EXPECT_EQ(slice.first_chunk, seen);
      for (size_t chunk = seen; chunk < seen + slice.chunk_count; ++chunk) {
        EXPECT_EQ(slices.RankOf(chunk), rank);
        EXPECT_EQ(slices.ChunkElements(chunk), layout.SpanElements(chunks[chunk]));
        EXPECT_EQ(slices.PaddedOffset(chunk), begin + slices.OffsetInSlice(chunk));
        EXPECT_GE(slices.PaddedOffset(chunk), std::max(free_from, begin));
        free_from = slices.PaddedOffset(chunk) + slices.ChunkElements(chunk);
        EXPECT_LE(free_from, begin + slices.slice_elements());
        EXPECT_LE(slices.OffsetInSlice(chunk) + slices.ChunkElements(chunk), slice.elements);
      }
      seen += slice.chunk_count;
    }
    EXPECT_EQ(seen, chunks.size());
  }
}

TEST(LocalSlicesTest, SlicesAreAsEvenAsWholeChunksAllow) {
  const Layout layout = Uneven();
  for (const int ranks : {2, 3, 4, 8}) {
    const LocalSlices slices(layout, SingleBlocks(layout), ranks);

    // No slice is longer than an even share, half a chunk to each side and the gaps between
    // tensors.
    const uint64_t share = layout.parameter_count() / static_cast<uint64_t>(ranks);
    EXPECT_LE(slices.slice_elements(), share + kBlockElements + 5 * kTensorAlignment) << ranks;
  }
}

TEST(LocalSlicesTest, ThreeRanksOfFourEqualBlocksAndATail) {
  // Blocks of 65,536 x 4, then one of 100; the even share is 87,415: after 1, 3 and all chunks.
  const Layout layout = Layout::Make({{"a", {4 * kBlockElements + 100}, {}}}).value();

  const LocalSlices slices(layout, SingleBlocks(layout), 3);

  EXPECT_EQ(slices.slice(0).chunk_count, 1u);
  EXPECT_EQ(slices.slice(1).chunk_count, 2u);
  EXPECT_EQ(slices.slice(1).offset, kBlockElements);
  EXPECT_EQ(slices.slice(2).chunk_count, 2u);
  EXPECT_EQ(slices.slice(2).elements, kBlockElements + 100u);
  EXPECT_EQ(slices.slice_elements(), 2u * kBlockElements);
  EXPECT_EQ(slices.padded_elements(), 6u * kBlockElements);
  EXPECT_EQ(slices.PaddedOffset(3), 4u * kBlockElements);
  EXPECT_EQ(slices.PaddedOffset(4), 5u * kBlockElements);
}

TEST(LocalSlicesTest, RanksBeyondTheChunksGetNothing) {
  const Layout layout = Layout::Make({{"a", {kBlockElements}, {}}, {"b", {1}, {}}}).value();

  const LocalSlices slices(layout, SingleBlocks(layout), 8);

  size_t empty = 0;
  for (int rank = 0; rank < 8; ++rank) empty += slices.slice(rank).elements == 0 ? 1 : 0;
  EXPECT_GE(empty, 6u);
  EXPECT_EQ(slices.slice_elements(), kBlockElements);
}

TEST(LocalSlicesTest, NoChunksAreNoElements) {
  const Layout layout = Layout::Make({{"a", {10}, {}}}).value();

  const LocalSlices slices(layout, {}, 4);

  EXPECT_EQ(slices.slice_elements(), 0u);
  EXPECT_EQ(slices.padded_elements(), 0u);
  EXPECT_EQ(slices.slice(3).chunk_count, 0u);
}

TEST(LocalSlicesTest, TheLastChunksAloneBeginAtTheStartOfASlice) {
  const Layout layout = Layout::Make({{"a", {6 * kBlockElements}, {}}}).value();

  const LocalSlices slices(layout, {{4, 5}, {5, 6}}, 2);

  EXPECT_EQ(slices.slice(0).offset, 4u * kBlockElements);
  EXPECT_EQ(slices.slice_elements(), kBlockElements);
  EXPECT_EQ(slices.PaddedOffset(1), kBlockElements);
}

TEST(LocalSlicesDeathTest, RefusesChunksWithAHoleBetween) {
  const Layout layout = Layout::Make({{"a", {6 * kBlockElements}, {}}}).value();

  EXPECT_DEATH(LocalSlices(layout, {{0, 1}, {2, 3}}, 2), "broken promise");
}

}  // namespace
}  // namespace drover
