#include "server/coordinator/lease_table.h"

#include <gtest/gtest.h>

#include <optional>

namespace drover {
namespace {

using std::chrono::seconds;

Instant At(int second) { return {seconds(second)}; }

std::optional<LeaseTable::Lease> Grant(LeaseTable* table, SessionId worker, uint32_t leaves_max,
                                       int now = 0, int overdue = 5, int deadline = 10) {
  return table->Grant(worker, leaves_max, At(now), At(overdue), At(deadline));
}

TEST(LeaseTableTest, GrantsRunsOfLeavesInOrderUntilAllAreLeased) {
  LeaseTable table(LeafSet(5), /*singles=*/false, /*last_id=*/7);

  EXPECT_EQ(Grant(&table, 1, 2)->leaves, (LeafRange{0, 2}));
  EXPECT_EQ(Grant(&table, 2, 8)->leaves, (LeafRange{2, 5}));
  EXPECT_FALSE(Grant(&table, 3, 1));
  EXPECT_EQ(table.last_id(), 9u);
}

TEST(LeaseTableTest, SkipsLeavesThatAreInAlready) {
  LeafSet done(6);
  done.Add({1, 3});
  LeaseTable table(done, /*singles=*/false, 0);

  EXPECT_EQ(Grant(&table, 1, 9)->leaves, (LeafRange{0, 1}));
  EXPECT_EQ(Grant(&table, 1, 9)->leaves, (LeafRange{3, 6}));
}

TEST(LeaseTableTest, AfterATakeoverEveryLeafIsLeasedAlone) {
  LeaseTable table(LeafSet(3), /*singles=*/true, 0);

  for (uint32_t leaf = 0; leaf < 3; ++leaf) {
    EXPECT_EQ(Grant(&table, 1, 3)->leaves, (LeafRange{leaf, leaf + 1}));
  }
}

TEST(LeaseTableTest, ExpiredLeaseIsGivenToTheNextWorker) {
  LeaseTable table(LeafSet(4), /*singles=*/false, 0);
  Grant(&table, 1, 4, /*now=*/0, /*overdue=*/1, /*deadline=*/2);

  ASSERT_EQ(table.Expire(At(2)).size(), 1u);

  const std::optional<LeaseTable::Lease> again = Grant(&table, 2, 4, 2);
  EXPECT_EQ(again->leaves, (LeafRange{0, 4}));
  EXPECT_TRUE(again->again);
}

TEST(LeaseTableTest, RangeIsLeasedAgainOnlyWithinItsFormerBorders) {
  LeaseTable table(LeafSet(6), /*singles=*/false, 0);
  Grant(&table, 1, 3);
  Grant(&table, 2, 3);
  table.ReleaseWorker(1);
  table.ReleaseWorker(2);

  EXPECT_EQ(Grant(&table, 3, 2)->leaves, (LeafRange{0, 2}));
  EXPECT_EQ(Grant(&table, 3, 6)->leaves, (LeafRange{2, 3}))
      << "the part of a range is a border too";
  EXPECT_EQ(Grant(&table, 3, 6)->leaves, (LeafRange{3, 6}));
}

TEST(LeaseTableTest, OverdueLeaseIsCopiedOnceToAnotherWorker) {
  LeaseTable table(LeafSet(2), /*singles=*/false, 0);
  Grant(&table, 1, 2, 0, /*overdue=*/5);

  EXPECT_FALSE(table.Copy(2, At(4), At(9), At(20))) << "not overdue";
  EXPECT_FALSE(table.Copy(1, At(6), At(9), At(20))) << "its own";
  EXPECT_EQ(table.Copy(2, At(6), At(9), At(20))->leaves, (LeafRange{0, 2}));
  EXPECT_FALSE(table.Copy(3, At(6), At(9), At(20))) << "one copy is enough";
}

TEST(LeaseTableTest, FirstResultWinsAndTheCopyOpensNothingAgain) {
  LeaseTable table(LeafSet(2), /*singles=*/false, 0);
  const uint64_t original = Grant(&table, 1, 2, 0, 0)->id;
  const uint64_t copy = table.Copy(2, At(1), At(9), At(20))->id;

  EXPECT_TRUE(table.NeedsResult({0, 2}));
  EXPECT_TRUE(table.Done(copy, 2));
  EXPECT_FALSE(table.NeedsResult({0, 2}));
  table.ReleaseWorker(1);

  EXPECT_TRUE(table.all_done());
  EXPECT_EQ(table.open_count(), 0u);
  EXPECT_FALSE(table.Done(original, 1));
}

TEST(LeaseTableTest, ResultOfAnotherWorkersLeaseIsRefused) {
  LeaseTable table(LeafSet(1), /*singles=*/false, 0);
  const uint64_t id = Grant(&table, 1, 1)->id;

  EXPECT_FALSE(table.Done(id, 2));
  EXPECT_FALSE(table.Done(id + 1, 1));
  EXPECT_TRUE(table.Done(id, 1));
}

TEST(LeaseTableTest, ReturnedLeavesAreOpenAtOnceAndTheRestCounts) {
  LeaseTable table(LeafSet(6), /*singles=*/false, 0);
  const uint64_t id = Grant(&table, 1, 6)->id;

  EXPECT_EQ(table.Shorten(id, 1, 2), (LeafRange{2, 6}));

  EXPECT_EQ(table.open_count(), 4u);
  const std::optional<LeaseTable::Lease> rest = Grant(&table, 2, 9);
  EXPECT_EQ(rest->leaves, (LeafRange{2, 6}));
  EXPECT_TRUE(rest->again);
  EXPECT_EQ(table.Done(id, 1)->leaves, (LeafRange{0, 2}));
  EXPECT_TRUE(table.Done(rest->id, 2));
  EXPECT_TRUE(table.all_done());
}

TEST(LeaseTableTest, WhatWasKeptAndWhatWasReturnedAreNeverLeasedTogether) {
  LeaseTable table(LeafSet(4), /*singles=*/false, 0);
  const uint64_t id = Grant(&table, 1, 4)->id;
  table.Shorten(id, 1, 1);
  table.ReleaseWorker(1);  // It is gone; a shard may have some chunks of leaf 0 alone.

  EXPECT_EQ(Grant(&table, 2, 4)->leaves, (LeafRange{0, 1}));
  EXPECT_EQ(Grant(&table, 2, 4)->leaves, (LeafRange{1, 4}));
}

TEST(LeaseTableTest, ALeaseThatIsReturnedWholeIsOver) {
  LeaseTable table(LeafSet(4), /*singles=*/false, 0);
  const uint64_t id = Grant(&table, 1, 4)->id;

  EXPECT_EQ(table.Shorten(id, 1, 0), (LeafRange{0, 4}));

  EXPECT_TRUE(table.live().empty());
  EXPECT_FALSE(table.Done(id, 1));
  EXPECT_EQ(Grant(&table, 2, 4)->leaves, (LeafRange{0, 4}));
}

TEST(LeaseTableTest, OnlyLeavesOfAnOwnLeaseCanBeReturned) {
  LeaseTable table(LeafSet(6), /*singles=*/false, 0);
  Grant(&table, 1, 2);
  const uint64_t id = Grant(&table, 2, 2)->id;

  EXPECT_FALSE(table.Shorten(id, 1, 3)) << "another worker's";
  EXPECT_FALSE(table.Shorten(id + 1, 2, 3)) << "no such lease";
  EXPECT_FALSE(table.Shorten(id, 2, 1)) << "before it";
  EXPECT_FALSE(table.Shorten(id, 2, 4)) << "behind it";
  EXPECT_EQ(table.open_count(), 2u);
}

TEST(LeaseTableTest, ReturnedLeavesOfWhichAnotherHasACopyStayLeased) {
  LeaseTable table(LeafSet(4), /*singles=*/false, 0);
  const uint64_t id = Grant(&table, 1, 4, 0, /*overdue=*/0)->id;
  const uint64_t copy = table.Copy(2, At(1), At(9), At(20))->id;

  EXPECT_TRUE(table.Shorten(id, 1, 2));

  EXPECT_EQ(table.open_count(), 0u);
  EXPECT_TRUE(table.Done(copy, 2));
  EXPECT_TRUE(table.all_done());
}

TEST(LeaseTableTest, LeavesThatWereGivenUpAreLeasedAlone) {
  LeaseTable table(LeafSet(3), /*singles=*/false, 0);
  Grant(&table, 1, 3);

  EXPECT_EQ(table.GiveUp(1).size(), 1u);

  for (uint32_t leaf = 0; leaf < 3; ++leaf) {
    EXPECT_EQ(Grant(&table, 2, 3)->leaves, (LeafRange{leaf, leaf + 1}));
  }
}

}  // namespace
}  // namespace drover
