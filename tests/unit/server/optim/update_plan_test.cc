#include "server/optim/update_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace drover {
namespace {

Layout LayoutOf(const std::vector<int64_t>& sizes) {
  std::vector<TensorSpec> tensors;
  for (const int64_t size : sizes) {
    tensors.push_back({"t" + std::to_string(tensors.size()), {size}, {}});
  }
  return Layout::Make(tensors).value();
}

UpdatePlan PlanOf(const Layout& layout, BlockRange owned) {
  std::vector<uint32_t> groups(layout.tensors().size());
  std::iota(groups.begin(), groups.end(), 0u);
  return MakeUpdatePlan(layout, owned, groups);
}

TEST(UpdatePlanTest, StripsCoverEveryWeightOnceAndNoGap) {
  const Layout layout = LayoutOf({1, 4097, 65537, 15, 131072});
  const UpdatePlan plan = PlanOf(layout, layout.all_blocks());

  std::vector<int> covered(plan.elements, 0);
  for (const UpdateStrip& strip : plan.strips) {
    EXPECT_EQ(strip.offset % 16, 0u);
    EXPECT_LE(strip.size, 4096u);
    for (uint32_t i = 0; i < strip.size; ++i) ++covered[strip.offset + i];
  }
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    for (uint64_t i = 0; i < layout.tensor_size(t); ++i) {
      ASSERT_EQ(covered[layout.tensor_offset(t) + i]--, 1) << "tensor " << t << " element " << i;
    }
  }
  EXPECT_EQ(std::count(covered.begin(), covered.end(), 0),
            static_cast<std::ptrdiff_t>(covered.size()));
  EXPECT_TRUE(plan.whole_tensors);
}

TEST(UpdatePlanTest, StripsAndBlocksOfATensorStandTogether) {
  const Layout layout = LayoutOf({1, 65537, 15});
  const UpdatePlan plan = PlanOf(layout, layout.all_blocks());

  EXPECT_EQ(plan.block_strips, (std::vector<uint32_t>{0, 1, 17, 18, 19}));
  const UpdateTensor& tensor = plan.tensors[1];
  EXPECT_EQ(tensor.first_strip, 1u);
  EXPECT_EQ(tensor.strip_count, 17u);
  EXPECT_EQ(tensor.first_block, 1u);
  EXPECT_EQ(tensor.block_count, 2u);
  EXPECT_EQ(tensor.group, 1u);
  for (uint32_t i = 0; i < 17; ++i) EXPECT_EQ(plan.strips[1 + i].tensor, 1u);
  EXPECT_EQ(plan.strips[17].size, 1u);
}

TEST(UpdatePlanTest, OffsetsCountFromTheFirstOwnedBlock) {
  const Layout layout = LayoutOf({100, 3 * 65536, 50});
  const UpdatePlan plan = PlanOf(layout, {2, 5});

  EXPECT_EQ(plan.strips.front().offset, 0u);
  EXPECT_EQ(plan.strips.size(), 33u);
  EXPECT_EQ(plan.strips.back().offset, 2 * 65536u);
  EXPECT_EQ(plan.strips.back().tensor, 2u);
  EXPECT_EQ(plan.elements, 2 * 65536u + 50u);
  EXPECT_EQ(plan.tensors[0].strip_count, 0u);
  EXPECT_FALSE(plan.whole_tensors) << "the first block of tensor 1 is another shard's";
}

TEST(UpdatePlanTest, AShardWithoutBlocksHasNothingToDo) {
  const Layout layout = LayoutOf({100});
  const UpdatePlan plan = PlanOf(layout, {1, 1});

  EXPECT_TRUE(plan.strips.empty());
  EXPECT_EQ(plan.block_strips.size(), 1u);
  EXPECT_TRUE(UpdateTickets(plan, 4096).empty());
}

class UpdateTicketsTest : public testing::TestWithParam<uint64_t> {
 protected:
  const Layout layout_ = LayoutOf({5000, 1, 20000, 4096, 300, 70000, 8192, 9, 12288});
  const UpdatePlan plan_ = PlanOf(layout_, layout_.all_blocks());
  const std::vector<uint32_t> tickets_ = UpdateTickets(plan_, GetParam());
};

INSTANTIATE_TEST_SUITE_P(WaveElements, UpdateTicketsTest,
                         testing::Values(1, 4096, 10000, 50000, 1'000'000));

TEST_P(UpdateTicketsTest, HandOutEveryStripOnceInEachPass) {
  std::vector<uint32_t> sorted = tickets_;
  std::sort(sorted.begin(), sorted.end());
  std::vector<uint32_t> expected;
  for (const uint32_t pass : {0u, kSecondPass}) {
    for (uint32_t i = 0; i < plan_.strips.size(); ++i) expected.push_back(i | pass);
  }
  EXPECT_EQ(sorted, expected);
}

// Else a second pass could wait for a first pass that nobody has.
TEST_P(UpdateTicketsTest, PutTheFirstPassOfAWholeTensorBeforeItsSecond) {
  std::vector<uint32_t> measured(plan_.tensors.size(), 0);
  for (const uint32_t ticket : tickets_) {
    const uint32_t tensor = plan_.strips[ticket & ~kSecondPass].tensor;
    if ((ticket & kSecondPass) == 0) ++measured[tensor];
    if ((ticket & kSecondPass) == 0) continue;
    EXPECT_EQ(measured[tensor], plan_.tensors[tensor].strip_count);
  }
}

// What stands between the passes of a strip must fit the cache: at most two waves, a larger tensor
// counted as what it is.
TEST_P(UpdateTicketsTest, KeepThePassesOfSmallTensorsClose) {
  for (size_t first = 0; first < tickets_.size(); ++first) {
    if ((tickets_[first] & kSecondPass) != 0) continue;
    const UpdateStrip& strip = plan_.strips[tickets_[first]];
    if (layout_.tensor_size(strip.tensor) > GetParam()) continue;
    uint64_t small_between = 0;
    for (size_t i = first; tickets_[i] != (tickets_[first] | kSecondPass); ++i) {
      const UpdateStrip& other = plan_.strips[tickets_[i] & ~kSecondPass];
      if ((tickets_[i] & kSecondPass) != 0) continue;
      if (layout_.tensor_size(other.tensor) <= GetParam()) small_between += other.size;
    }
    EXPECT_LE(small_between, 2 * GetParam());
  }
}

}  // namespace
}  // namespace drover
