#include "worker/data/sampler.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace drover {
namespace {

std::vector<uint64_t> Leaf(uint64_t seed, uint64_t size, uint64_t batch, uint32_t leaves,
                           uint64_t step, uint32_t leaf) {
  std::vector<uint64_t> indices = {123};  // What was there before must go.
  const uint64_t samples = batch / leaves;
  SamplePositions(seed, size, step * batch + leaf * samples, samples, &indices);
  return indices;
}

// Numbers of tests/golden/sampler.py. The last two leaves cross from one data pass to the next.
TEST(SamplerTest, EqualsTheSecondImplementation) {
  EXPECT_EQ(Leaf(9, 7, 12, 3, 1, 0), std::vector<uint64_t>({0, 1, 5, 3}));
  EXPECT_EQ(Leaf(9, 7, 12, 3, 1, 2), std::vector<uint64_t>({6, 1, 5, 3}));
  const std::vector<uint64_t> mnist = Leaf(1, 60'000, 32'768, 32, 1, 26);
  ASSERT_EQ(mnist.size(), 1024u);
  EXPECT_EQ(std::vector<uint64_t>(mnist.begin(), mnist.begin() + 8),
            std::vector<uint64_t>({33'511, 17'790, 2'033, 51'059, 24'706, 42'463, 48'024, 47'999}));
  EXPECT_EQ(std::vector<uint64_t>(mnist.end() - 4, mnist.end()),
            std::vector<uint64_t>({31'221, 18'030, 22'460, 6'565}));
}

// 5 x 24 samples are 12 data passes of 10.
TEST(SamplerTest, EveryDataPassHoldsEverySampleOnceAcrossStepsAndLeaves) {
  std::vector<uint64_t> stream;
  for (uint64_t step = 0; step < 5; ++step) {
    for (uint32_t leaf = 0; leaf < 4; ++leaf) {
      const std::vector<uint64_t> indices = Leaf(3, 10, 24, 4, step, leaf);
      ASSERT_EQ(indices.size(), 6u);
      stream.insert(stream.end(), indices.begin(), indices.end());
    }
  }

  ASSERT_EQ(stream.size(), 120u);
  for (size_t pass = 0; pass < 12; ++pass) {
    std::vector<int> count(10, 0);
    for (size_t i = 0; i < 10; ++i) ++count[stream[10 * pass + i]];
    EXPECT_EQ(count, std::vector<int>(10, 1)) << "data pass " << pass;
  }
}

TEST(SamplerTest, RealBatchOfTheDigitsCoversEachPassOnce) {
  std::vector<int> count(60'000, 0);
  uint64_t position = 0;
  for (uint64_t step = 0; step < 2; ++step) {
    for (uint32_t leaf = 0; leaf < 32; ++leaf) {
      for (const uint64_t index : Leaf(1, 60'000, 32'768, 32, step, leaf)) {
        if (position++ < 60'000) ++count[index];
      }
    }
  }

  EXPECT_EQ(count, std::vector<int>(60'000, 1));
}

TEST(SamplerTest, NumberOfLeavesOnlyCutsTheSameOrder) {
  const std::vector<uint64_t> whole = Leaf(8, 100, 48, 1, 3, 0);
  for (const uint32_t leaves : {2u, 3u, 16u, 48u}) {
    std::vector<uint64_t> joined;
    for (uint32_t leaf = 0; leaf < leaves; ++leaf) {
      const std::vector<uint64_t> part = Leaf(8, 100, 48, leaves, 3, leaf);
      joined.insert(joined.end(), part.begin(), part.end());
    }
    EXPECT_EQ(joined, whole) << leaves << " leaves";
  }
}

TEST(SamplerTest, OneSampleIsTakenAgainAndAgain) {
  EXPECT_EQ(Leaf(1, 1, 6, 2, 9, 1), std::vector<uint64_t>({0, 0, 0}));
}

}  // namespace
}  // namespace drover
