#include "server/shard/shard.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

PlaceOrder PlaceIn(uint32_t epoch, bool discard = false) {
  PlaceOrder order;
  order.job = 1;
  order.epoch = epoch;
  order.layout = std::make_shared<const Layout>(Layout::Make({{"w", {10}, {}}}).value());
  order.blocks = {0, 1};
  order.shapes = {{0, 4, 8}};
  order.discard = discard;
  return order;
}

Fence In(uint32_t epoch, int64_t step) { return {1, epoch, step}; }

// A shard that holds `version` in epoch 1, filling.
Shard Filling(int64_t version) {
  Shard shard;
  shard.Handle(PlaceIn(1));
  shard.Handle(RangeLoaded{In(1, version), false, ""});
  return shard;
}

Shard Prepared(int64_t version) {
  Shard shard = Filling(version);
  shard.Handle(GradientComplete{In(1, version)});
  return shard;
}

template <typename Action>
bool Has(const std::vector<ShardAction>& actions) {
  for (const ShardAction& action : actions) {
    if (std::holds_alternative<Action>(action)) return true;
  }
  return false;
}

TEST(ShardTest, LoadsItsRangeThenOpensTheStepAndAnswers) {
  Shard shard;

  EXPECT_TRUE(Has<LoadRange>(shard.Handle(PlaceIn(1))));
  const std::vector<ShardAction> actions = shard.Handle(RangeLoaded{In(1, 3), false, ""});

  EXPECT_TRUE(Has<OpenStep>(actions));
  EXPECT_EQ(std::get<SendPlaced>(actions.back()).reply.fence, In(1, 3));
  EXPECT_EQ(shard.phase(), Shard::Phase::kFilling);
}

TEST(ShardTest, WritesTheRedoRecordBeforeItVotes) {
  Shard shard = Filling(3);

  const std::vector<ShardAction> actions = shard.Handle(GradientComplete{In(1, 3)});

  ASSERT_EQ(actions.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<AppendGradient>(actions[0]));
  EXPECT_TRUE(std::holds_alternative<SendPrepared>(actions[1]));
}

TEST(ShardTest, LogsACommitBeforeItAppliesIt) {
  Shard shard = Prepared(3);

  const std::vector<ShardAction> actions = shard.Handle(CommitOrder{In(1, 3), false, {}});

  ASSERT_EQ(actions.size(), 5u);
  EXPECT_TRUE(std::holds_alternative<CloseStep>(actions[0]));
  EXPECT_TRUE(std::holds_alternative<AppendCommit>(actions[1]));
  EXPECT_TRUE(std::holds_alternative<ApplyStep>(actions[2]));
  EXPECT_EQ(std::get<OpenStep>(actions[3]).fence, In(1, 4));
  EXPECT_EQ(std::get<SendApplied>(actions[4]).fence, In(1, 3));
}

TEST(ShardTest, RepeatedCommitIsAnsweredNotObeyed) {
  Shard shard = Prepared(3);
  shard.Handle(CommitOrder{In(1, 3), false, {}});

  const std::vector<ShardAction> again = shard.Handle(CommitOrder{In(1, 3), false, {}});

  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(std::get<SendApplied>(again[0]).fence, In(1, 3));
  EXPECT_EQ(shard.version(), 4);
}

TEST(ShardTest, RefusesACommitThatIsNotPreparedOrNotNext) {
  Shard filling = Filling(3);
  EXPECT_TRUE(Has<RefuseOrder>(filling.Handle(CommitOrder{In(1, 3), false, {}})));
  Shard prepared = Prepared(3);
  EXPECT_TRUE(Has<RefuseOrder>(prepared.Handle(CommitOrder{In(1, 5), false, {}})));
  EXPECT_TRUE(Has<RefuseOrder>(prepared.Handle(CommitOrder{In(2, 3), false, {}}))) << "epoch";
  EXPECT_EQ(prepared.version(), 3);
}

TEST(ShardTest, SkipNeedsNoGradient) {
  Shard shard = Filling(3);

  EXPECT_TRUE(Has<ApplyStep>(shard.Handle(CommitOrder{In(1, 3), true, {}})));
  EXPECT_EQ(shard.version(), 4);
}

TEST(ShardTest, NewEpochKeepsTheSumsAndRepeatsTheVote) {
  Shard shard = Prepared(3);

  const std::vector<ShardAction> actions = shard.Handle(PlaceIn(2));

  EXPECT_FALSE(Has<LoadRange>(actions));
  EXPECT_EQ(std::get<AdoptEpoch>(actions[0]).fence, In(2, 3));
  EXPECT_TRUE(std::get<SendPlaced>(actions[1]).reply.prepared);
  EXPECT_TRUE(Has<SendPrepared>(actions));
}

TEST(ShardTest, OlderEpochIsRefused) {
  Shard shard = Filling(3);
  shard.Handle(PlaceIn(5));

  EXPECT_TRUE(Has<RefuseOrder>(shard.Handle(PlaceIn(4))));
  EXPECT_TRUE(Has<RefuseOrder>(shard.Handle(StableOrder{In(1, 2)})));
  EXPECT_EQ(shard.epoch(), 5u);
}

TEST(ShardTest, DiscardStartsAnewButOnlyOnceInAnEpoch) {
  Shard shard = Prepared(3);

  EXPECT_TRUE(Has<LoadRange>(shard.Handle(PlaceIn(2, /*discard=*/true))));
  shard.Handle(RangeLoaded{In(2, 0), false, ""});
  EXPECT_FALSE(Has<LoadRange>(shard.Handle(PlaceIn(2, /*discard=*/true))));
  EXPECT_EQ(shard.version(), 0);
}

TEST(ShardTest, LateResultOfAnOlderLoadIsIgnored) {
  Shard shard;
  shard.Handle(PlaceIn(1));
  shard.Handle(PlaceIn(2));

  EXPECT_TRUE(shard.Handle(RangeLoaded{In(1, 3), false, ""}).empty());
  EXPECT_EQ(shard.phase(), Shard::Phase::kLoading);
}

TEST(ShardTest, SaysWhyItCannotServeAndHoldsNothing) {
  Shard shard;
  shard.Handle(PlaceIn(1));

  const std::vector<ShardAction> actions = shard.Handle(RangeLoaded{In(1, 0), false, "disk"});

  EXPECT_EQ(std::get<SendPlaced>(actions[0]).reply.error, "disk");
  EXPECT_EQ(shard.phase(), Shard::Phase::kEmpty);
}

TEST(ShardTest, MeasureAndCheckpointOnlyOfTheHeldVersion) {
  Shard shard = Prepared(3);

  EXPECT_TRUE(Has<RunMeasure>(shard.Handle(MeasureOrder{In(1, 3), {}})));
  EXPECT_TRUE(Has<RefuseOrder>(shard.Handle(MeasureOrder{In(1, 4), {}})));
  EXPECT_TRUE(Has<RunCheckpoint>(shard.Handle(WriteCheckpointOrder{In(1, 3), "d"})));
  EXPECT_TRUE(Has<RefuseCheckpoint>(shard.Handle(WriteCheckpointOrder{In(1, 2), "d"})));
  EXPECT_TRUE(Has<RefuseCheckpoint>(shard.Handle(WriteCheckpointOrder{In(1, 4), "d"})));
  EXPECT_TRUE(Has<RefuseOrder>(shard.Handle(WriteCheckpointOrder{In(2, 3), "d"}))) << "epoch";
}

}  // namespace
}  // namespace drover
