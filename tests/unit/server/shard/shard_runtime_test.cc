#include "server/shard/shard_runtime.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/hash.h"
#include "server/shard_file.h"
#include "tests/support/faulty_file_system.h"
#include "tests/unit/server/shard/runtime_driver.h"

namespace drover {
namespace {

class ShardRuntimeTest : public testing::Test {
 protected:
  ShardRuntimeTest() : layout_(SlowJobLayout()), slow_(layout_), driver_(faulty_) {
    driver_.Start();
  }

  PlacedReply Place() { return driver_.Place(SlowJobPlace(layout_)); }

  // One whole step through prepare, measure, commit; the slow loop goes along.
  void Step() {
    const int64_t step = slow_.version();
    driver_.Push(step);
    driver_.Await<PreparedReply>();
    const CommitOrder order = SlowJobCommit(*layout_, step);
    driver_.runtime().Post(order);
    EXPECT_EQ(driver_.Await<AppliedReply>().fence.step, step);
    slow_.Apply(order.numbers);
  }

  const std::shared_ptr<const Layout> layout_;
  SlowJob slow_;
  FaultyFileSystem faulty_{FileSystem::Real()};
  RuntimeDriver driver_;
};

TEST_F(ShardRuntimeTest, PlacedFromTheSeedItServesTheInitialWeights) {
  const PlacedReply placed = Place();

  EXPECT_EQ(placed.fence, (Fence{kSlowJobId, 1, 0}));
  EXPECT_EQ(placed.error, "");
  EXPECT_FALSE(placed.prepared);
  EXPECT_EQ(placed.leaves, std::vector<uint64_t>{0});
  EXPECT_EQ(driver_.Pull(*layout_, 0), slow_.weights());
}

TEST_F(ShardRuntimeTest, AllLeavesLeadToAVoteWithTheRightSums) {
  Place();

  driver_.Push(0);

  const PreparedReply prepared = driver_.Await<PreparedReply>();
  EXPECT_EQ(prepared.fence, (Fence{kSlowJobId, 1, 0}));
  EXPECT_EQ(prepared.gradient_squares,
            SlowJob::BlockSquares(*layout_, SlowJob::MeanGradient(*layout_, 0)));
  // Per leaf a loss of 1, 2, 3, 4; 3 correct; 16 samples.
  EXPECT_EQ(prepared.stats, (LeafStatsSum{10, 12, kSlowJobBatch}));
  EXPECT_EQ(prepared.leaf_chunks, kSlowJobLeaves);
  EXPECT_EQ(prepared.duplicates, 0);
  EXPECT_EQ(prepared.refused, 0);
  EXPECT_GT(prepared.seconds, 0);  // A redo record was written.
}

TEST_F(ShardRuntimeTest, MeasureAndCommitAreASlowLoop) {
  Place();
  driver_.Push(0);
  driver_.Await<PreparedReply>();
  MeasureOrder measure = {{kSlowJobId, 1, 0}, SlowJobNumbers(*layout_, 1)};
  measure.numbers.tensor_scales.clear();

  driver_.runtime().Post(measure);
  const MeasuredReply measured = driver_.Await<MeasuredReply>();
  driver_.runtime().Post(SlowJobCommit(*layout_, 0));
  driver_.Await<AppliedReply>();

  EXPECT_EQ(measured.weight_squares, SlowJob::BlockSquares(*layout_, slow_.weights()));
  EXPECT_EQ(measured.direction_squares,
            SlowJob::BlockSquares(*layout_, slow_.Directions(measure.numbers)));
  const std::vector<float> before = slow_.weights();
  slow_.Apply(SlowJobNumbers(*layout_, 1));
  EXPECT_EQ(driver_.Pull(*layout_, 1), slow_.weights());
  EXPECT_EQ(driver_.Pull(*layout_, 0), before);  // Until the step is stable.
}

TEST_F(ShardRuntimeTest, AStableStepDropsTheVersionBefore) {
  Place();
  Step();

  driver_.runtime().Post(StableOrder{{kSlowJobId, 1, 0}});
  driver_.runtime().Post(SlowJobPlace(layout_));  // Its answer says that Stable was obeyed.
  driver_.Await<PlacedReply>();

  EXPECT_TRUE(driver_.Pull(*layout_, 0).empty());
  EXPECT_EQ(driver_.Pull(*layout_, 1), slow_.weights());
}

TEST_F(ShardRuntimeTest, RepeatedOrdersAreAnsweredAndNotObeyedTwice) {
  Place();
  Step();

  driver_.runtime().Post(SlowJobCommit(*layout_, 0));
  EXPECT_EQ(driver_.Await<AppliedReply>().fence.step, 0);

  EXPECT_EQ(driver_.Pull(*layout_, 1), slow_.weights());
  Step();
  EXPECT_EQ(driver_.Pull(*layout_, 2), slow_.weights());
}

TEST_F(ShardRuntimeTest, OrdersOfAnotherEpochChangeNothing) {
  Place();
  driver_.Push(0);
  driver_.Await<PreparedReply>();

  driver_.runtime().Post(SlowJobCommit(*layout_, 0, /*epoch=*/2));
  driver_.runtime().Post(SlowJobPlace(layout_, /*epoch=*/1));

  const PlacedReply placed = driver_.Await<PlacedReply>();
  EXPECT_EQ(placed.fence, (Fence{kSlowJobId, 1, 0}));
  EXPECT_TRUE(placed.prepared);
}

TEST_F(ShardRuntimeTest, ASkippedStepServesTheSameWeightsAsTheNextVersion) {
  Place();
  CommitOrder skip = SlowJobCommit(*layout_, 0);
  skip.skip = true;
  skip.numbers = {};

  driver_.runtime().Post(skip);
  driver_.Await<AppliedReply>();

  EXPECT_EQ(driver_.Pull(*layout_, 1), slow_.weights());
}

TEST_F(ShardRuntimeTest, ANewEpochKeepsTheLeavesThatAreThere) {
  Place();
  const std::shared_ptr<Accumulator> accumulator = driver_.runtime().accumulator();
  for (const SlowJobFrame& frame : SlowJobFrames(*layout_, 0, /*leaf=*/2)) {
    accumulator->Receive(FrameOf(frame.header, frame.payload));
  }

  const PlacedReply placed = driver_.Place(SlowJobPlace(layout_, /*epoch=*/2));

  EXPECT_EQ(placed.fence, (Fence{kSlowJobId, 2, 0}));
  EXPECT_EQ(placed.leaves, std::vector<uint64_t>{4});
  const SlowJobFrame late = SlowJobFrames(*layout_, 0, /*leaf=*/3, /*epoch=*/1)[0];
  EXPECT_EQ(accumulator->Receive(FrameOf(late.header, late.payload)).verdict, Verdict::kEpoch);
  EXPECT_EQ(driver_.Pull(*layout_, 0, /*epoch=*/2), slow_.weights());
}

TEST_F(ShardRuntimeTest, DuplicatesAndRefusalsAreInTheVote) {
  Place();
  const std::shared_ptr<Accumulator> accumulator = driver_.runtime().accumulator();
  const SlowJobFrame frame = SlowJobFrames(*layout_, 0, /*leaf=*/0)[0];
  const SlowJobFrame wrong = SlowJobFrames(*layout_, 7, /*leaf=*/0)[0];
  accumulator->Receive(FrameOf(frame.header, frame.payload));
  accumulator->Receive(FrameOf(frame.header, frame.payload));
  accumulator->Receive(FrameOf(wrong.header, wrong.payload));

  driver_.Push(0);

  // The copy above, and the frame itself once more with all leaves.
  const PreparedReply prepared = driver_.Await<PreparedReply>();
  EXPECT_EQ(prepared.duplicates, 2);
  EXPECT_EQ(prepared.refused, 1);
}

TEST_F(ShardRuntimeTest, AfterARestartInEveryPhaseTheBitsAreTheSame) {
  driver_.options().snapshots = {.records = 4, .bytes_min = 0};
  driver_.Start();
  Place();
  driver_.Start();  // Placed, nothing done.
  EXPECT_EQ(Place().fence.step, 0);
  Step();
  driver_.Start();  // Applied.
  EXPECT_EQ(Place().fence.step, 1);
  EXPECT_EQ(driver_.Pull(*layout_, 1), slow_.weights());

  driver_.Push(1);
  const PreparedReply before = driver_.Await<PreparedReply>();
  driver_.Start();  // Prepared.
  EXPECT_TRUE(Place().prepared);
  const PreparedReply after = driver_.Await<PreparedReply>();
  EXPECT_EQ(after.gradient_squares, before.gradient_squares);
  EXPECT_EQ(after.stats, before.stats);
  driver_.runtime().Post(SlowJobCommit(*layout_, 1));  // Four records now: a snapshot follows.
  driver_.Await<AppliedReply>();
  slow_.Apply(SlowJobNumbers(*layout_, 2));

  driver_.Start();
  EXPECT_EQ(Place().fence.step, 2);
  EXPECT_TRUE(std::filesystem::exists(driver_.state_dir() + "/job-0000000000001234/snapshot.bin"));
  EXPECT_EQ(driver_.Pull(*layout_, 2), slow_.weights());
  Step();
  Step();
  driver_.Start();
  EXPECT_EQ(Place().fence.step, 4);
  EXPECT_EQ(driver_.Pull(*layout_, 4), slow_.weights());
}

TEST_F(ShardRuntimeTest, APullThatWaitsIsServedWhenTheStepIsApplied) {
  Place();
  std::vector<float> pulled;
  {
    Thread worker("worker", [&] { pulled = driver_.Pull(*layout_, 1); });
    Step();
  }

  EXPECT_EQ(pulled, slow_.weights());
}

TEST_F(ShardRuntimeTest, AReaderThatDoesNotLetGoCostsMemoryAndNoStep) {
  Place();
  class Slow : public Subscriber {
   public:
    void SendWeights(std::shared_ptr<const WeightsSend> send) override { held = std::move(send); }
    void SendGone(const FrameHeader&) override {}
    void Cancel() override { cancelled = true; }
    std::shared_ptr<const WeightsSend> held;
    std::atomic<bool> cancelled = false;
  };
  const auto slow_reader = std::make_shared<Slow>();
  ASSERT_TRUE(driver_.runtime()
                  .publisher()
                  .Pull(slow_reader, SlowJobHeader(FrameType::kPull, *layout_, 0, {0, 0}))
                  .ok());
  const std::vector<float> initial = slow_.weights();

  Step();
  EXPECT_FALSE(slow_reader->cancelled);
  Step();
  Step();

  EXPECT_TRUE(slow_reader->cancelled);
  EXPECT_EQ(driver_.Pull(*layout_, 3), slow_.weights());
  const Result<ReceivedFrame> frame = ParseFrame(WeightsSend::MakeFrame(slow_reader->held, 0));
  EXPECT_EQ(frame.value().PayloadText().substr(0, 20),
            PayloadOf(initial).substr(0, 20));  // What it reads has not changed under it.
}

TEST_F(ShardRuntimeTest, ARangeThatCannotBeLoadedIsReportedAndMayBePlacedAgain) {
  PlaceOrder order = SlowJobPlace(layout_);
  order.origin = {driver_.state_dir() + "/no-such-checkpoint", 50};
  const PlacedReply refused = driver_.Place(order);
  EXPECT_NE(refused.error.find("no-such-checkpoint"), std::string::npos) << refused.error;
  EXPECT_GE(refused.fence.step, 0);

  EXPECT_EQ(Place().error, "");
  EXPECT_EQ(driver_.Pull(*layout_, 0), slow_.weights());
}

TEST_F(ShardRuntimeTest, ADiskThatBreaksBeforeTheVoteIsToldInsteadOfAVote) {
  Place();
  Step();
  faulty_.BreakAt(1, FaultyFileSystem::Fault::kCrash);  // Everything fails from now on.
  driver_.Push(1);

  const PlacedReply given_up = driver_.Await<PlacedReply>();
  EXPECT_NE(given_up.error, "");
  EXPECT_TRUE(driver_.Pull(*layout_, 1).empty());
  EXPECT_EQ(driver_.runtime().accumulator(), nullptr);

  faulty_.BreakAt(0, FaultyFileSystem::Fault::kCrash);  // The disk is back.
  EXPECT_EQ(Place().fence.step, 1);
  EXPECT_EQ(driver_.Pull(*layout_, 1), slow_.weights());
}

TEST_F(ShardRuntimeTest, NumbersThatDoNotFitEndTheRangeBeforeAnythingIsWritten) {
  Place();
  driver_.Push(0);
  driver_.Await<PreparedReply>();
  CommitOrder order = SlowJobCommit(*layout_, 0);
  order.numbers.tensor_groups.clear();

  driver_.runtime().Post(order);

  EXPECT_NE(driver_.Await<PlacedReply>().error, "");
  EXPECT_TRUE(Place().prepared);
}

TEST_F(ShardRuntimeTest, ACheckpointHoldsTheVersionAndIsWrittenOnce) {
  Place();
  Step();
  const std::string directory = driver_.state_dir() + "/staging";
  std::filesystem::create_directories(directory);

  driver_.runtime().Post(WriteCheckpointOrder{{kSlowJobId, 1, 1}, directory});
  const CheckpointWrittenReply written = driver_.Await<CheckpointWrittenReply>();

  EXPECT_EQ(written.error, "");
  EXPECT_EQ(written.file, "shard-0-of-1.bin");
  const std::string path = directory + "/" + written.file;
  EXPECT_EQ(written.bytes, static_cast<int64_t>(std::filesystem::file_size(path)));
  std::vector<float> weights(slow_.weights().size());
  std::vector<float> m(weights.size());
  std::vector<float> v(weights.size());
  const Result<ShardFileHeader> header =
      ReadShardFile(FileSystem::Real(), path, *layout_, layout_->all_blocks(),
                    {weights.data(), m.data(), v.data()});
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  EXPECT_EQ(header.value().version, 1);
  EXPECT_EQ(header.value().applied, 1);
  EXPECT_EQ(weights, slow_.weights());

  std::filesystem::remove_all(directory);  // A second write would fail.
  driver_.runtime().Post(WriteCheckpointOrder{{kSlowJobId, 1, 1}, directory});
  EXPECT_EQ(driver_.Await<CheckpointWrittenReply>().xxh3, written.xxh3);
}

TEST_F(ShardRuntimeTest, ACheckpointThatCannotBeWrittenIsReportedAndTheJobGoesOn) {
  Place();
  Step();

  driver_.runtime().Post(
      WriteCheckpointOrder{{kSlowJobId, 1, 1}, driver_.state_dir() + "/no/such/folder"});

  EXPECT_NE(driver_.Await<CheckpointWrittenReply>().error, "");
  Step();
  EXPECT_EQ(driver_.Pull(*layout_, 2), slow_.weights());
}

TEST_F(ShardRuntimeTest, ACheckpointOfAnotherVersionIsRefusedAtOnce) {
  Place();
  Step();
  const std::string directory = driver_.state_dir() + "/staging";
  std::filesystem::create_directories(directory);

  driver_.runtime().Post(WriteCheckpointOrder{{kSlowJobId, 1, 2}, directory});

  const CheckpointWrittenReply refused = driver_.Await<CheckpointWrittenReply>();
  EXPECT_EQ(refused.fence, (Fence{kSlowJobId, 1, 2}));
  EXPECT_EQ(refused.error, "checkpoint of version 2, here 1");
  EXPECT_TRUE(std::filesystem::is_empty(directory));
}

TEST_F(ShardRuntimeTest, ACheckpointThatWasWrittenIsConfirmedThoughTheJobHasGoneOn) {
  Place();
  Step();
  const std::string directory = driver_.state_dir() + "/staging";
  std::filesystem::create_directories(directory);
  driver_.runtime().Post(WriteCheckpointOrder{{kSlowJobId, 1, 1}, directory});
  const CheckpointWrittenReply written = driver_.Await<CheckpointWrittenReply>();
  Step();

  driver_.runtime().Post(WriteCheckpointOrder{{kSlowJobId, 1, 1}, directory});

  const CheckpointWrittenReply again = driver_.Await<CheckpointWrittenReply>();
  EXPECT_EQ(again.error, "");
  EXPECT_EQ(again.xxh3, written.xxh3);
}

TEST_F(ShardRuntimeTest, AReleasedJobIsForgotten) {
  Place();
  Step();

  driver_.runtime().Post(ReleaseOrder{kSlowJobId});

  const PlacedReply placed = Place();
  EXPECT_EQ(placed.fence.step, 0);
  EXPECT_EQ(driver_.Pull(*layout_, 0), SlowJob(layout_).weights());
}

TEST_F(ShardRuntimeTest, AnotherJobTakesTheShardAndTheFirstOneCanComeBack) {
  Place();
  Step();
  PlaceOrder other = SlowJobPlace(layout_);
  other.job = 77;
  EXPECT_EQ(driver_.Place(other).fence, (Fence{77, 1, 0}));

  EXPECT_EQ(driver_.Place(SlowJobPlace(layout_, /*epoch=*/2)).fence, (Fence{kSlowJobId, 2, 1}));
  EXPECT_EQ(driver_.Pull(*layout_, 1, /*epoch=*/2), slow_.weights());
}

TEST_F(ShardRuntimeTest, StoppedItTakesNoEventsAndServesNothing) {
  Place();

  driver_.runtime().Stop();
  driver_.runtime().Post(SlowJobPlace(layout_));

  EXPECT_FALSE(driver_.HasReply());
  EXPECT_TRUE(driver_.Pull(*layout_, 0).empty());
}

}  // namespace
}  // namespace drover
