#include "server/shard/shard_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/hash.h"
#include "server/checkpoint_file.h"
#include "tests/support/faulty_file_system.h"
#include "tests/unit/server/shard/slow_job.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {
namespace {

std::vector<float> WeightsOf(const HeldRange& held) {
  const std::span<const float> weights = held.engine->current()->weights->span();
  return {weights.begin(), weights.end()};
}

class ShardStoreTest : public testing::Test {
 protected:
  ShardStoreTest()
      : directory_(testing::TempDir() + "shard_store_" +
                   testing::UnitTest::GetInstance()->current_test_info()->name()),
        layout_(SlowJobLayout(/*last=*/300)),
        place_(SlowJobPlace(layout_)) {
    std::filesystem::remove_all(directory_);
    Reopen();
  }
  ~ShardStoreTest() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  // As after kill -9: nothing is written at the end.
  void Reopen() {
    store_.reset();
    Result<std::unique_ptr<ShardStore>> opened =
        ShardStore::Open(faulty_, directory_, limits_, *device_, /*threads=*/1);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(opened).value();
  }

  LoadedRange Load() {
    Result<LoadedRange> loaded = store_->Load(place_);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    return std::move(loaded).value();
  }

  void Prepare(HeldRange* held) {
    const int64_t step = held->engine->version();
    held->accumulator->Open(place_.epoch, static_cast<uint64_t>(step));
    ASSERT_TRUE(FillStep(held->accumulator.get(), step));
    const Status appended = store_->AppendGradient(*held);
    ASSERT_TRUE(appended.ok()) << appended.ToString();
  }
  void Commit(HeldRange* held) {
    const CommitOrder order =
        SlowJobCommit(*layout_, held->engine->version(), place_.epoch, place_.rule);
    const Status appended = store_->AppendCommit(*held, order);
    ASSERT_TRUE(appended.ok()) << appended.ToString();
    ASSERT_TRUE(held->engine->ReserveNext(Duration(0)));
    held->engine->Apply(order.numbers, *held->accumulator);
  }

  // Steps as Prepare and Commit, until something fails.
  void RunUntilCrash(int64_t steps) {
    Result<LoadedRange> loaded = store_->Load(place_);
    if (!loaded.ok()) return;
    HeldRange& held = loaded.value().held;
    for (int64_t step = 0; step < steps; ++step) {
      held.accumulator->Open(place_.epoch, static_cast<uint64_t>(step));
      ASSERT_TRUE(FillStep(held.accumulator.get(), step));
      if (!store_->AppendGradient(held).ok()) return;
      const CommitOrder order = SlowJobCommit(*layout_, step);
      if (!store_->AppendCommit(held, order).ok()) return;
      ASSERT_TRUE(held.engine->ReserveNext(Duration(0)));
      held.engine->Apply(order.numbers, *held.accumulator);
      if (!store_->SnapshotIfDue(held).ok()) return;
    }
  }

  std::vector<float> SlowWeights(int64_t version) const {
    SlowJob slow(layout_);
    while (slow.version() < version) slow.Apply(SlowJobNumbers(*layout_, slow.version() + 1));
    return slow.weights();
  }

  const std::string directory_;
  const std::shared_ptr<const Layout> layout_;
  PlaceOrder place_;
  SnapshotLimits limits_;
  const std::shared_ptr<const ShardDevice> device_ = TestDevice();
  FaultyFileSystem faulty_{FileSystem::Real()};
  std::unique_ptr<ShardStore> store_;
};

TEST_F(ShardStoreTest, ANewJobBeginsFromItsSeed) {
  const LoadedRange loaded = Load();

  EXPECT_STREQ(loaded.source, "initial");
  EXPECT_FALSE(loaded.prepared);
  EXPECT_EQ(loaded.held.engine->version(), 0);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(0));
}

TEST_F(ShardStoreTest, TwoShardsCannotShareADirectory) {
  const Result<std::unique_ptr<ShardStore>> second =
      ShardStore::Open(FileSystem::Real(), directory_, limits_, *device_, 1);

  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
}

TEST_F(ShardStoreTest, AGradientWithoutCommitIsPreparedAgain) {
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
  }
  Reopen();

  const LoadedRange loaded = Load();

  EXPECT_TRUE(loaded.prepared);
  EXPECT_EQ(loaded.held.engine->version(), 0);
  EXPECT_TRUE(loaded.held.accumulator->complete());
  EXPECT_EQ(loaded.held.accumulator->block_squares(),
            SlowJob::BlockSquares(*layout_, SlowJob::MeanGradient(*layout_, 0)));
  // Per leaf 1, 2, 3, 4; 3; 16.
  EXPECT_EQ(loaded.held.accumulator->stats(), (StepStats{10, 12, kSlowJobBatch, 0}));
}

TEST_F(ShardStoreTest, ACommitThatWasNotAppliedYetIsRedone) {
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    ASSERT_TRUE(store_->AppendCommit(loaded.held, SlowJobCommit(*layout_, 0)).ok());
  }
  Reopen();

  const LoadedRange loaded = Load();

  EXPECT_STREQ(loaded.source, "redo");
  EXPECT_EQ(loaded.redone_steps, 1);
  EXPECT_FALSE(loaded.prepared);
  EXPECT_EQ(loaded.held.engine->version(), 1);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(1));
}

TEST_F(ShardStoreTest, ASkippedStepIsRedoneWithoutItsGradient) {
  {
    LoadedRange loaded = Load();
    CommitOrder skip = SlowJobCommit(*layout_, 0);
    skip.skip = true;
    skip.numbers = {};
    ASSERT_TRUE(store_->AppendCommit(loaded.held, skip).ok());
  }
  Reopen();

  const LoadedRange loaded = Load();

  EXPECT_EQ(loaded.held.engine->version(), 1);
  EXPECT_EQ(loaded.held.engine->applied(), 0);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(0));
}

TEST_F(ShardStoreTest, ASnapshotReplacesTheLogAndKeepsTheState) {
  limits_ = {.records = 4, .bytes_min = 0};
  Reopen();
  {
    LoadedRange loaded = Load();
    for (int step = 0; step < 3; ++step) {
      Prepare(&loaded.held);
      Commit(&loaded.held);
      ASSERT_TRUE(store_->SnapshotIfDue(loaded.held).ok());
    }
  }
  ASSERT_TRUE(std::filesystem::exists(directory_ + "/job-0000000000001234/snapshot.bin"));
  Reopen();

  LoadedRange loaded = Load();

  // The snapshot came after step 1: moments and all must be there for step 3 to be right.
  EXPECT_EQ(loaded.redone_steps, 1);
  EXPECT_EQ(loaded.held.engine->applied(), 3);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(3));
  Prepare(&loaded.held);
  Commit(&loaded.held);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(4));
}

// A snapshot after step 1, then redo: whatever a rule keeps per weight must be in both.
TEST_F(ShardStoreTest, EveryKindOfStateSurvivesAKill) {
  limits_ = {.records = 4, .bytes_min = 0};
  for (const RuleState& rule : StatesOfEachKind()) {
    SCOPED_TRACE(rule.name());
    std::filesystem::remove_all(directory_ + "/job-0000000000001234");
    place_.rule = rule;
    SlowJob slow(layout_, rule.rule);
    for (int64_t step = 0; step < 5; ++step) {
      Reopen();
      LoadedRange loaded = Load();
      ASSERT_EQ(loaded.held.engine->version(), step);
      ASSERT_EQ(WeightsOf(loaded.held), slow.weights());
      Prepare(&loaded.held);
      Commit(&loaded.held);
      ASSERT_TRUE(store_->SnapshotIfDue(loaded.held).ok());
      slow.Apply(SlowJobNumbers(*layout_, step + 1, rule));
      ASSERT_EQ(WeightsOf(loaded.held), slow.weights()) << "step " << step;
    }
  }
}

TEST_F(ShardStoreTest, ASnapshotOfAnotherRuleIsNotTakenOver) {
  limits_ = {.records = 1, .bytes_min = 0};
  Reopen();
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    Commit(&loaded.held);
    ASSERT_TRUE(store_->SnapshotIfDue(loaded.held).ok());
  }
  place_.rule = {Rule::kLamb, /*with_lookahead=*/true};
  Reopen();

  const LoadedRange loaded = Load();

  EXPECT_STREQ(loaded.source, "initial");
  EXPECT_EQ(loaded.held.engine->version(), 0);
}

TEST_F(ShardStoreTest, ASmallLogIsNotReplacedBeforeItHasVeryManyRecords) {
  limits_ = {.records = 2, .bytes_min = uint64_t{1} << 30};
  Reopen();
  LoadedRange loaded = Load();
  Prepare(&loaded.held);
  Commit(&loaded.held);

  ASSERT_TRUE(store_->SnapshotIfDue(loaded.held).ok());

  EXPECT_FALSE(std::filesystem::exists(directory_ + "/job-0000000000001234/snapshot.bin"));
}

// Every operation of a snapshot, from its first to its last, as the one that a kill interrupts.
TEST_F(ShardStoreTest, AKillAnywhereInASnapshotLosesNothing) {
  limits_ = {.records = 2, .bytes_min = 0};
  for (int operation = 1; operation < 100; ++operation) {
    std::filesystem::remove_all(directory_);
    Reopen();
    {
      LoadedRange loaded = Load();
      Prepare(&loaded.held);
      Commit(&loaded.held);
      faulty_.BreakAt(operation, FaultyFileSystem::Fault::kCrash);
      if (store_->SnapshotIfDue(loaded.held).ok() && !faulty_.crashed()) {
        EXPECT_GT(operation, 5);
        return;
      }
    }
    faulty_.BreakAt(0, FaultyFileSystem::Fault::kCrash);
    Reopen();

    const LoadedRange loaded = Load();

    ASSERT_EQ(loaded.held.engine->version(), 1) << "operation " << operation;
    ASSERT_EQ(WeightsOf(loaded.held), SlowWeights(1)) << "operation " << operation;
  }
  FAIL() << "a snapshot of more than 100 operations";
}

// Every operation of three steps with snapshots as the one that a kill interrupts: what is loaded
// afterwards is some version, whole, and the job goes on from there to the same bits.
TEST_F(ShardStoreTest, AKillAnywhereInThreeStepsLeadsToTheSameBits) {
  limits_ = {.records = 2, .bytes_min = 0};
  const std::vector<float> expected = SlowWeights(3);
  bool crashed = true;
  int operation = 0;
  for (; crashed; ++operation) {
    ASSERT_LT(operation, 200);
    std::filesystem::remove_all(directory_);
    Reopen();
    faulty_.BreakAt(operation + 1, FaultyFileSystem::Fault::kCrash);
    RunUntilCrash(3);
    crashed = faulty_.crashed();
    faulty_.BreakAt(0, FaultyFileSystem::Fault::kCrash);
    Reopen();

    LoadedRange loaded = Load();

    const int64_t version = loaded.held.engine->version();
    ASSERT_EQ(WeightsOf(loaded.held), SlowWeights(version)) << "operation " << operation;
    if (!loaded.prepared && version < 3) Prepare(&loaded.held);
    while (loaded.held.engine->version() < 3) {
      Commit(&loaded.held);
      if (loaded.held.engine->version() < 3) Prepare(&loaded.held);
    }
    ASSERT_EQ(WeightsOf(loaded.held), expected) << "operation " << operation;
  }
  EXPECT_GT(operation, 30);
}

TEST_F(ShardStoreTest, AFullDiskInTheLogLeadsToASnapshotAndTheRecordAgain) {
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    Commit(&loaded.held);
    loaded.held.accumulator->Open(1, 1);
    ASSERT_TRUE(FillStep(loaded.held.accumulator.get(), 1));
    faulty_.BreakAt(1, FaultyFileSystem::Fault::kDiskFull);
    ASSERT_TRUE(store_->AppendGradient(loaded.held).ok());
    faulty_.BreakAt(1, FaultyFileSystem::Fault::kDiskFull);
    Commit(&loaded.held);
  }
  faulty_.BreakAt(0, FaultyFileSystem::Fault::kDiskFull);
  Reopen();

  const LoadedRange loaded = Load();

  EXPECT_EQ(loaded.held.engine->version(), 2);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(2));
}

TEST_F(ShardStoreTest, DiscardStartsFromTheOriginWhateverIsThere) {
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    Commit(&loaded.held);
  }
  place_.discard = true;

  const LoadedRange loaded = Load();

  EXPECT_EQ(loaded.held.engine->version(), 0);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(0));
}

TEST_F(ShardStoreTest, LocalStateOfAnotherRangeIsNotUsed) {
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    Commit(&loaded.held);
  }
  place_.blocks = {1, 2};

  const LoadedRange loaded = Load();

  EXPECT_EQ(loaded.held.engine->version(), 0);
  EXPECT_STREQ(loaded.source, "initial");
}

TEST_F(ShardStoreTest, ADamagedSnapshotIsNotUsed) {
  limits_ = {.records = 2, .bytes_min = 0};
  Reopen();
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    Commit(&loaded.held);
    ASSERT_TRUE(store_->SnapshotIfDue(loaded.held).ok());
  }
  const std::string path = directory_ + "/job-0000000000001234/snapshot.bin";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);

  const LoadedRange loaded = Load();

  EXPECT_EQ(loaded.held.engine->version(), 0);
  EXPECT_EQ(WeightsOf(loaded.held), SlowWeights(0));
}

TEST_F(ShardStoreTest, AMissingOriginIsAnErrorAndKeepsLocalFiles) {
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    Commit(&loaded.held);
  }
  PlaceOrder other = place_;
  other.discard = true;
  other.origin = {directory_ + "/no-such-checkpoint", 50};

  EXPECT_FALSE(store_->Load(other).ok());

  EXPECT_EQ(Load().held.engine->version(), 1);
}

TEST_F(ShardStoreTest, ForgottenJobsLeaveNoFiles) {
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
  }

  ASSERT_TRUE(store_->Forget(kSlowJobId).ok());

  EXPECT_FALSE(std::filesystem::exists(directory_ + "/job-0000000000001234"));
  EXPECT_EQ(Load().held.engine->version(), 0);
}

// A checkpoint written by one shard, read by two.
TEST_F(ShardStoreTest, ACheckpointIsAnOriginForAnyRange) {
  const std::string staging = directory_ + "/staging";
  const std::string checkpoint = directory_ + "/checkpoint";
  std::filesystem::create_directories(staging);
  {
    LoadedRange loaded = Load();
    Prepare(&loaded.held);
    Commit(&loaded.held);
    const Result<WrittenFile> written =
        WriteShardFile(FileSystem::Real(), staging + "/" + CheckpointShardName(0, 1),
                       HeaderOf(loaded.held), *layout_, loaded.held.engine->arrays());
    ASSERT_TRUE(written.ok());
    Manifest manifest;
    manifest.job = kSlowJobId;
    manifest.job_name = "slow";
    manifest.version = 1;
    manifest.applied = 1;
    manifest.epoch = 1;
    manifest.rule = "lamb";
    manifest.slots = 2;
    manifest.tensors = layout_->tensors();
    manifest.files = {
        {written.value().name, written.value().bytes, written.value().xxh3, layout_->all_blocks()}};
    const Result<std::string> digest = WeightsDigest(FileSystem::Real(), staging, manifest);
    ASSERT_TRUE(digest.ok()) << digest.status().ToString();
    manifest.weights_digest = digest.value();
    const Status committed = CommitCheckpoint(FileSystem::Real(), staging, checkpoint, manifest);
    ASSERT_TRUE(committed.ok()) << committed.ToString();
  }
  place_.origin = {checkpoint, 1};
  place_.discard = true;
  place_.blocks = {1, 3};

  const LoadedRange loaded = Load();

  EXPECT_STREQ(loaded.source, "checkpoint");
  EXPECT_EQ(loaded.held.engine->version(), 1);
  EXPECT_EQ(loaded.held.engine->applied(), 1);
  std::vector<float> expected = SlowWeights(1);
  expected.erase(expected.begin(),
                 expected.begin() + static_cast<ptrdiff_t>(layout_->SpanOffset({1, 3})));
  EXPECT_EQ(WeightsOf(loaded.held), expected);

  place_.origin.version = 2;
  EXPECT_EQ(store_->Load(place_).status().code(), Code::kFailedPrecondition);
  place_.origin.version = 1;
  ++place_.job;
  EXPECT_EQ(store_->Load(place_).status().code(), Code::kFailedPrecondition) << "another job's";
}

}  // namespace
}  // namespace drover
