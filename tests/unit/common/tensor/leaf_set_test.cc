#include "common/tensor/leaf_set.h"

#include <gtest/gtest.h>

#include <set>

#include "common/base/philox.h"

namespace drover {
namespace {

TEST(LeafSetTest, StartsEmptyAndIsFullWhenEveryLeafIsIn) {
  LeafSet set(/*leaves=*/70);

  EXPECT_EQ(set.count(), 0u);
  set.Add({0, 69});
  EXPECT_FALSE(set.full());
  set.Add({69, 70});
  EXPECT_TRUE(set.full());
  set.Clear();
  EXPECT_EQ(set, LeafSet(70));
}

TEST(LeafSetTest, TellsNoneFromSomeAndAll) {
  LeafSet set(/*leaves=*/128);
  set.Add({60, 70});

  EXPECT_EQ(set.CountIn({0, 60}), 0u);
  EXPECT_EQ(set.CountIn({70, 128}), 0u);
  EXPECT_EQ(set.CountIn({69, 71}), 1u);
  EXPECT_FALSE(set.ContainsAll({69, 71}));
  EXPECT_TRUE(set.ContainsAll({60, 70}));
  EXPECT_EQ(set.CountIn({65, 65}), 0u);
  EXPECT_TRUE(set.ContainsAll({0, 0}));
}

// Random ranges against std::set, the slow and obvious one.
TEST(LeafSetTest, AgreesWithAPlainSet) {
  constexpr uint32_t kLeaves = 197;
  LeafSet fast(kLeaves);
  std::set<uint32_t> slow;

  for (uint64_t round = 0; round < 60; ++round) {
    const auto words = Philox(/*seed=*/1, /*stream=*/0, round);
    const uint32_t begin = words[0] % kLeaves;
    const LeafRange range = {begin, begin + words[1] % (kLeaves + 1 - begin) % 9};
    uint32_t expected = 0;
    for (uint32_t leaf = range.begin; leaf < range.end; ++leaf) {
      expected += static_cast<uint32_t>(slow.count(leaf));
    }
    EXPECT_EQ(fast.CountIn(range), expected);

    fast.Add(range);
    for (uint32_t leaf = range.begin; leaf < range.end; ++leaf) slow.insert(leaf);

    EXPECT_EQ(fast.count(), slow.size());
    for (uint32_t leaf = 0; leaf < kLeaves; ++leaf) {
      EXPECT_EQ(fast.Contains(leaf), slow.count(leaf) == 1) << leaf;
    }
  }
}

TEST(LeafSetTest, IntersectionKeepsWhatBothHold) {
  LeafSet a(/*leaves=*/100);
  LeafSet b(/*leaves=*/100);
  LeafSet both(/*leaves=*/100);
  a.Add({10, 80});
  b.Add({60, 100});
  both.Add({60, 80});

  a.IntersectWith(b);

  EXPECT_EQ(a, both);
}

TEST(LeafSetTest, WordsCrossTheWireAndBack) {
  LeafSet set(/*leaves=*/100);
  set.Add({3, 4});
  set.Add({62, 66});

  EXPECT_EQ(set.words(), (std::vector<uint64_t>{0xc000000000000008, 0x3}));
  EXPECT_EQ(LeafSet::FromWords(100, set.words()), set);
}

TEST(LeafSetTest, WordsOfAPeerMayBeTooManyOrTooFew) {
  const uint64_t all = ~uint64_t{0};

  EXPECT_TRUE(LeafSet::FromWords(10, {all, all, all}).full());
  EXPECT_EQ(LeafSet::FromWords(10, {all}).words(), std::vector<uint64_t>{0x3ff});
  EXPECT_EQ(LeafSet::FromWords(100, {all}).count(), 64u);
  EXPECT_EQ(LeafSet::FromWords(100, {}).count(), 0u);
}

}  // namespace
}  // namespace drover
