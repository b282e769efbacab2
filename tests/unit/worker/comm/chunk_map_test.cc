#include "worker/comm/chunk_map.h"

#include <gtest/gtest.h>

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
    }
    EXPECT_EQ(blocks, layout.block_count());
  }
}

}  // namespace
}  // namespace drover
