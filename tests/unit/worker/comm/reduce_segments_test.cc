#include "worker/comm/reduce_segments.h"

#include <gtest/gtest.h>

#include <vector>

namespace drover {
namespace {

// Blocks: a 0 to 3, b 4, c 5 to 6.
Layout ThreeTensors() {
  return Layout::Make(
             {{"a", {3, kBlockElements + 1}, {}}, {"b", {5}, {}}, {"c", {kBlockElements + 7}, {}}})
      .value();
}

TEST(ReduceSegmentsTest, AreCutFromTheEndAndHaveAllBlocks) {
  const Layout layout = ThreeTensors();
  ASSERT_EQ(layout.block_count(), 7u);

  const ReduceSegments segments(layout, 2 * kBlockElements);

  // c, b and the three elements of block 3 are less than two blocks' worth: block 2 goes with them.
  EXPECT_EQ(segments.blocks, (std::vector<BlockRange>{{0, 2}, {2, 7}}));
  EXPECT_EQ(segments.tensors, (std::vector<uint32_t>{1, 3}));
  EXPECT_EQ(segments.of_tensor, (std::vector<std::vector<size_t>>{{0, 1}, {1}, {1}}));
}

TEST(ReduceSegmentsTest, OneIsEnoughForWhatIsSmall) {
  const ReduceSegments segments(ThreeTensors(), kReduceSegmentElements);

  EXPECT_EQ(segments.blocks, (std::vector<BlockRange>{{0, 7}}));
  EXPECT_EQ(segments.tensors, (std::vector<uint32_t>{3}));
}

TEST(ReduceSegmentsTest, ABlockIsTheLeast) {
  const ReduceSegments segments(ThreeTensors(), 1);

  EXPECT_EQ(segments.blocks.size(), 7u);
  EXPECT_EQ(segments.of_tensor, (std::vector<std::vector<size_t>>{{0, 1, 2, 3}, {4}, {5, 6}}));
}

}  // namespace
}  // namespace drover
