#include "worker/comm/chunk_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace drover {
namespace {

TEST(ChunkMapTest, EveryTensorKnowsTheChunksItLiesIn) {
  const Layout layout = Layout::Make({{"a", {20, kBlockElements}, {}},
                                      {"b", {7}, {}},
                                      {"c", {3, kBlockElements + 1}, {}},
                                      {"d", {9}, {}}})
                            .value();
  for (const uint32_t shards : {1u, 2u, 3u, 7u}) {
    const std::vector<BlockRange> parts = layout.Place(shards);

    const ChunkMap map(layout, parts);

    // The slow way: look at every block of every chunk.
    uint32_t blocks = 0;
    for (size_t chunk = 0; chunk < map.chunks.size(); ++chunk) {
      std::set<uint32_t> tensors;
      const BlockRange range = map.chunks[chunk].blocks;
      for (uint32_t block = range.begin; block < range.end; ++block, ++blocks) {
        tensors.insert(layout.blocks()[block].tensor);
      }
      EXPECT_EQ(map.chunks[chunk].tensors, tensors.size());
      for (size_t tensor = 0; tensor < layout.tensors().size(); ++tensor) {
        const std::vector<size_t>& of_tensor = map.chunks_of_tensor[tensor];
        EXPECT_EQ(std::count(of_tensor.begin(), of_tensor.end(), chunk),
                  static_cast<int>(tensors.count(static_cast<uint32_t>(tensor))));
      }
      EXPECT_GE(range.begin, parts[map.chunks[chunk].part].begin);
      EXPECT_LE(range.end, parts[map.chunks[chunk].part].end);
      EXPECT_EQ(map.Find(range), chunk);
    }
    for (size_t part = 0; part < parts.size(); ++part) {
      EXPECT_EQ(map.chunks_in_part[part],
                static_cast<size_t>(
                    std::count_if(map.chunks.begin(), map.chunks.end(),
                                  [part](const auto& chunk) { return chunk.part == part; })));
    }
    EXPECT_EQ(blocks, layout.block_count());
  }
}

TEST(ChunkMapTest, FindsNothingForBlocksThatAreNoChunk) {
  const Layout layout = Layout::Make({{"a", {20, kBlockElements}, {}}}).value();
  const ChunkMap map(layout, {{0, 20}});

  EXPECT_TRUE(map.Find({0, 16}).has_value());
  EXPECT_FALSE(map.Find({0, 15}).has_value());
  EXPECT_FALSE(map.Find({1, 16}).has_value());
  EXPECT_FALSE(map.Find({4'000'000'000, 5}).has_value());  // As a hostile header may wrap.
}

}  // namespace
}  // namespace drover
