// What a running job says of itself when it waits for workers or shards.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/coordinator/coordinator.h"
#include "tests/unit/server/coordinator/toy_record.h"

namespace drover {
namespace {

constexpr uint64_t kJob = 7;
constexpr SessionId kShard = 1;

std::shared_ptr<const Layout> LayoutOf(int64_t width) {
  std::vector<TensorSpec> tensors;
  tensors.push_back({"w", {width, 4}, {}});
  return std::make_shared<const Layout>(Layout::Make(std::move(tensors)).value());
}

class JobRunWorkersTest : public testing::Test {
 protected:
  JobRunWorkersTest() {
    Tell(JobAdded{ToyRecord(kJob), false});
    Tell(ShardJoined{kShard, "shard-0", 11, "here"});
  }

  void Tell(const CoordinatorEvent& event) { core_.Handle(event, now_); }

  void Join(SessionId session, const std::string& name, int64_t width,
            DataFingerprint data = {0xaaa, 0xbbb}) {
    Tell(WorkerJoined{session, name, "cpu", 1});
    Tell(ModelDescribed{session, kJob, job().epoch, LayoutOf(width), 100, 10, "", data,
                        "idx /data/" + name});
  }

  // The first worker describes the model, the shard takes its blocks.
  void Run() {
    Join(2, "first", 4, data_);
    PlacedReply placed;
    placed.fence = {kJob, job().epoch, 0};
    placed.leaves = {0};
    Tell(ShardReplied{kShard, placed});
    ASSERT_EQ(job().state, JobState::kRunning);
    ASSERT_EQ(job().reason, "");
  }

  const JobRecord& job() const { return *core_.FindJob(kJob); }

  Coordinator core_{{1, "/ckpt"}};
  Instant now_{};
  DataFingerprint data_{0xaaa, 0xbbb};  // Of the first worker.
};

TEST_F(JobRunWorkersTest, AGroupThatMatchesNoTensorFailsTheJob) {
  JobRecord record = ToyRecord(kJob);
  record.plan.optimizer.groups = {{NamePattern::Compile("bias").value(), false, {}, {}, 1.0}};
  Coordinator core{{1, "/ckpt"}};
  core.Handle(JobAdded{record, false}, now_);
  core.Handle(ShardJoined{kShard, "shard-0", 11, "here"}, now_);
  core.Handle(WorkerJoined{2, "first", "cpu", 1}, now_);

  core.Handle(ModelDescribed{2, record.id, record.epoch, LayoutOf(4), 100, 10, ""}, now_);

  const JobRecord& failed = *core.FindJob(record.id);
  EXPECT_EQ(failed.state, JobState::kFailed);
  EXPECT_EQ(failed.reason, "GROUP_WITHOUT_TENSORS");
  EXPECT_EQ(
      failed.message,
      "optimizer.groups[0].match: \"bias\" matches no tensor of the model; the tensors are w");
}

// The numeric class is that of the device which computes this job, not what the worker joined with.
TEST_F(JobRunWorkersTest, TheFirstWorkersDeviceDecidesTheNumericClass) {
  Tell(WorkerJoined{2, "first", "cpu", 1});
  Tell(WorkerJoined{3, "second", "cpu", 1});
  ModelDescribed on_gpu = {2, kJob, job().epoch, LayoutOf(4), 100, 10, "", data_, "idx /data"};
  on_gpu.numeric_class = "cuda H100";
  on_gpu.lanes = 8;
  Tell(on_gpu);
  EXPECT_EQ(job().numeric_class, "cuda H100");
  EXPECT_EQ(core_.Workers()[0].lanes, 8u);

  Tell(ModelDescribed{3, kJob, job().epoch, LayoutOf(4), 100, 10, "", data_, "idx /data"});
  EXPECT_TRUE(core_.Workers()[0].described);
  EXPECT_FALSE(core_.Workers()[1].described);
}

// A shard refuses such a message, so the job would wait for it for ever.
TEST_F(JobRunWorkersTest, NumbersThatFloat32CannotHoldFailTheJob) {
  for (const Rule rule : {Rule::kAdaBound, Rule::kLamb, Rule::kSgd}) {
    SCOPED_TRACE(InfoOf(rule).name);
    JobRecord record = ToyRecord(kJob);
    record.plan.optimizer = DefaultSettings(rule);
    record.plan.optimizer.weight_decay = rule == Rule::kLamb ? 1e300 : 0.0;
    record.plan.optimizer.final_lr = 1e30;
    record.plan.optimizer.gamma = 1e-12;
    record.plan.phases[0].schedule.peak = rule == Rule::kSgd ? 1e300 : 1.0;
    Coordinator core{{1, "/ckpt"}};
    core.Handle(JobAdded{record, false}, now_);
    core.Handle(ShardJoined{kShard, "shard-0", 11, "here"}, now_);
    core.Handle(WorkerJoined{2, "first", "cpu", 1}, now_);
    core.Handle(ModelDescribed{2, record.id, record.epoch, LayoutOf(4), 100, 10, ""}, now_);
    PlacedReply placed;
    placed.fence = {record.id, core.FindJob(record.id)->epoch, 0};
    placed.leaves = {0};
    core.Handle(ShardReplied{kShard, placed}, now_);
    ASSERT_EQ(core.FindJob(record.id)->state, JobState::kRunning);

    PreparedReply prepared;
    prepared.fence = placed.fence;
    prepared.stats = {0, 0, 8};
    prepared.gradient_squares = {1.0};
    prepared.leaf_chunks = 2;
    core.Handle(ShardReplied{kShard, prepared}, now_);

    const JobRecord& failed = *core.FindJob(record.id);
    EXPECT_EQ(failed.state, JobState::kFailed);
    EXPECT_EQ(failed.reason, "NUMBERS_OUT_OF_RANGE");
    EXPECT_NE(failed.message.find("inf"), std::string::npos) << failed.message;
    EXPECT_EQ(failed.version, 0);
    EXPECT_EQ(failed.ledger.leaves_counted, 0);
  }
}

TEST_F(JobRunWorkersTest, WhenAllAreRefusedTheJobNamesOneAndWhy) {
  Run();
  Join(3, "other", 5);
  EXPECT_EQ(job().reason, "") << "the first one still works";

  Tell(WorkerLeft{2, "killed"});

  EXPECT_EQ(job().state, JobState::kRunning);
  EXPECT_EQ(job().reason, "ALL_WORKERS_REFUSED");
  EXPECT_NE(job().message.find("worker/other"), std::string::npos) << job().message;
  EXPECT_NE(job().message.find("another layout"), std::string::npos) << job().message;
}

TEST_F(JobRunWorkersTest, AWorkerThatMayServeEndsTheWait) {
  Run();
  Join(3, "other", 5);
  Tell(WorkerLeft{2, "killed"});

  Join(4, "again", 4);

  EXPECT_EQ(job().state, JobState::kRunning);
  EXPECT_EQ(job().reason, "");
  EXPECT_EQ(job().message, "");
}

TEST_F(JobRunWorkersTest, AWorkerWithOtherDataOfTheSameSizeIsRefused) {
  Run();
  Join(3, "other", 4, {0xaaa, 0xccc});
  Tell(WorkerLeft{2, "killed"});

  EXPECT_EQ(job().reason, "ALL_WORKERS_REFUSED");
  EXPECT_EQ(job().data, (DataFingerprint{0xaaa, 0xbbb}));
  for (const char* part :
       {"worker/other", "idx /data/other", "0000000000000ccc", "0000000000000bbb"}) {
    EXPECT_NE(job().message.find(part), std::string::npos) << part << ": " << job().message;
  }
}

// Begun by a release that kept no fingerprints.
TEST_F(JobRunWorkersTest, AJobWithoutFingerprintsTakesThoseOfTheFirstWorkerThatComes) {
  data_ = {};
  Run();
  EXPECT_EQ(job().data, DataFingerprint{});

  Join(3, "second", 4, {0xaaa, 0xbbb});
  EXPECT_EQ(job().data, (DataFingerprint{0xaaa, 0xbbb}));
  Join(4, "third", 4, {0xaaa, 0xccc});

  EXPECT_EQ(job().data, (DataFingerprint{0xaaa, 0xbbb}));
}

TEST_F(JobRunWorkersTest, WithoutAnyWorkerTheJobSaysSo) {
  Run();
  Tell(WorkerLeft{2, "killed"});

  EXPECT_EQ(job().state, JobState::kRunning);
  EXPECT_EQ(job().reason, "WAITING_FOR_WORKERS");
}

TEST_F(JobRunWorkersTest, WithoutAShardThatHasBlocksTheJobNamesItAndWhyItIsGone) {
  Run();

  Tell(ShardLeft{kShard, "frozen"});

  EXPECT_EQ(job().state, JobState::kRecovering);
  EXPECT_EQ(job().reason, "WAITING_FOR_SHARDS");
  EXPECT_EQ(job().message, "0 of 1 shards are there; waiting for shard/shard-0 (lost: frozen)");
}

TEST_F(JobRunWorkersTest, TheSameShardIsFencedWhenItComesBack) {
  Run();
  const uint32_t before = job().epoch;
  Tell(ShardLeft{kShard, "frozen"});

  Tell(ShardJoined{kShard + 100, "shard-0", 11, "here"});

  EXPECT_EQ(job().epoch, before + 1);
  EXPECT_EQ(job().shards_restarted, 0);
}

// How much work one lease holds.
class LeaseSizeTest : public testing::Test {
 protected:
  // 32 leaves of 10 samples; `workers` with a lane each ask for work one after the other.
  explicit LeaseSizeTest(int workers = 1) {
    JobRecord record = ToyRecord(kJob);
    PhasePlan& phase = record.plan.phases.front();
    phase.batch = 320;
    phase.leaves = 32;
    phase.micro_batch = 10;
    record.plan.fraction_bits = 39;
    core_.Handle(JobAdded{record, false}, now_);
    core_.Handle(ShardJoined{kShard, "shard-0", 11, "here"}, now_);
    for (int worker = 0; worker < workers; ++worker) {
      const SessionId session = kFirst + static_cast<SessionId>(worker);
      core_.Handle(WorkerJoined{session, "w" + std::to_string(worker), "cpu", 1}, now_);
      core_.Handle(ModelDescribed{session, kJob, 1, LayoutOf(4), 100, 10, ""}, now_);
    }
    PlacedReply placed;
    placed.fence = {kJob, core_.FindJob(kJob)->epoch, 0};
    placed.leaves = {0};
    core_.Handle(ShardReplied{kShard, placed}, now_);
  }

  // The lease that `session` is given, if any.
  std::optional<LeaseOrder> Ask(SessionId session) {
    const Fence fence = {kJob, core_.FindJob(kJob)->epoch, 0};
    for (const CoordinatorAction& action : core_.Handle(WorkRequested{session, fence}, now_)) {
      const auto* send = std::get_if<SendToWorker>(&action);
      if (send == nullptr || send->session != session) continue;
      if (const auto* lease = std::get_if<LeaseOrder>(&send->order)) return *lease;
    }
    return std::nullopt;
  }

  // Asks and delivers until nothing is left; `seconds_per_leaf` is what the worker measures.
  std::vector<uint32_t> SizesOf(SessionId session, double seconds_per_leaf) {
    std::vector<uint32_t> sizes;
    while (const std::optional<LeaseOrder> lease = Ask(session)) {
      sizes.push_back(lease->leaves.size());
      core_.Handle(
          LeaseDone{session, lease->fence, lease->lease, seconds_per_leaf * lease->leaves.size()},
          now_);
    }
    return sizes;
  }

  static constexpr SessionId kFirst = 2;
  Coordinator core_{{1, "/ckpt"}};
  Instant now_{};
};

class LeaseSizeOfTwoTest : public LeaseSizeTest {
 protected:
  LeaseSizeOfTwoTest() : LeaseSizeTest(2) {}
};

// Samples that were leased and are not counted.
class DiscardedWorkTest : public LeaseSizeOfTwoTest {
 protected:
  // What `event` adds, by reason; 0 when it adds nothing.
  double Discarded(CountEvent::What what, const CoordinatorEvent& event) {
    double samples = 0;
    for (const CoordinatorAction& action : core_.Handle(event, now_)) {
      const auto* count = std::get_if<CountEvent>(&action);
      if (count != nullptr && count->what == what) samples += count->value;
    }
    return samples;
  }

  ShardReplied AllLeavesAreIn() const {
    PreparedReply prepared;
    prepared.fence = lease_.fence;
    prepared.stats = {0, 0, 320};
    prepared.gradient_squares = {1.0};
    prepared.leaf_chunks = 32;
    return {kShard, prepared};
  }

  const LeaseOrder lease_ = Ask(kFirst).value();
  const double samples_ = 10.0 * lease_.leaves.size();
};

TEST_F(DiscardedWorkTest, ALostWorkersLeaseIsLost) {
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedWorkerLost, WorkerLeft{kFirst, "killed"}),
            samples_);
}

TEST_F(DiscardedWorkTest, ALeaseThatTakesTooLongIsOverdueAndThenLost) {
  EXPECT_EQ(core_.overdue_leases(kJob, now_), 0u);
  now_ = now_ + std::chrono::seconds(60);
  EXPECT_EQ(core_.overdue_leases(kJob, now_), 1u);
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedExpired, Tick{}), 0);

  now_ = now_ + std::chrono::seconds(60);

  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedExpired, Tick{}), samples_);
}

TEST_F(DiscardedWorkTest, WhatIsComputedTwiceIsCountedOnce) {
  SizesOf(kFirst + 1, 0.1);  // The second worker does all the rest.
  now_ = now_ + std::chrono::seconds(60);
  const LeaseOrder copy = Ask(kFirst + 1).value();
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedExpired,
                      LeaseDone{kFirst + 1, copy.fence, copy.lease, 1}),
            0);

  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedExpired,
                      LeaseDone{kFirst, lease_.fence, lease_.lease, 61}),
            samples_);
}

TEST_F(DiscardedWorkTest, AStepMayBeCommittedBeforeTheLastLeaseSaysThatItIsDone) {
  SizesOf(kFirst + 1, 0.1);
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedExpired, AllLeavesAreIn()), 0);
  EXPECT_EQ(core_.FindJob(kJob)->version, 1);
}

TEST_F(DiscardedWorkTest, OfALeaseAndItsCopyOneIsLostWhenTheStepIsCommitted) {
  SizesOf(kFirst + 1, 0.1);
  now_ = now_ + std::chrono::seconds(60);
  ASSERT_TRUE(Ask(kFirst + 1).has_value());
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedExpired, AllLeavesAreIn()), samples_);
  EXPECT_EQ(core_.FindJob(kJob)->version, 1);
}

TEST_F(DiscardedWorkTest, ASkippedStepLosesAllThatWasLeased) {
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedSkipped,
                      LeaseFailed{kFirst, lease_.fence, lease_.lease, 0, "w", "nan"}),
            samples_);
}

TEST_F(DiscardedWorkTest, OnlyWhoHoldsTheLeafMaySayThatItFailed) {
  const uint32_t end = lease_.leaves.end;
  for (const LeaseFailed& lie :
       {LeaseFailed{kFirst + 1, lease_.fence, lease_.lease, 0, "w", "nan"},
        LeaseFailed{kFirst, lease_.fence, lease_.lease + 1, 0, "w", "nan"},
        LeaseFailed{kFirst, lease_.fence, lease_.lease, end, "w", "nan"}}) {
    EXPECT_EQ(Discarded(CountEvent::What::kDiscardedSkipped, lie), 0);
  }
}

// What a leaving worker has not begun goes to the one that waits, and no sample is lost.
TEST_F(DiscardedWorkTest, ReturnedLeavesGoToWhoWaits) {
  SizesOf(kFirst + 1, 1.0);  // It has done all others, and waits.
  core_.Handle(WorkerLeaving{kFirst}, now_);

  std::optional<LeaseOrder> rest;
  for (const CoordinatorAction& action :
       core_.Handle(LeaseReturned{kFirst, lease_.fence, lease_.lease, 1}, now_)) {
    const auto* send = std::get_if<SendToWorker>(&action);
    if (send != nullptr && send->session == kFirst + 1) rest = std::get<LeaseOrder>(send->order);
  }

  ASSERT_TRUE(rest.has_value());
  EXPECT_EQ(rest->leaves.begin, 1u);
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedExpired,
                      LeaseDone{kFirst, lease_.fence, lease_.lease, 1}),
            0);
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedWorkerLost, WorkerLeft{kFirst, "left"}), 0);
}

// A shard may have refused the range because it holds part of it: single leaves it takes.
TEST_F(DiscardedWorkTest, WhatAWorkerGivesUpIsLeasedOneByOne) {
  ASSERT_GT(lease_.leaves.size(), 1u);
  now_ = now_ + std::chrono::seconds(4);

  const LeaseOrder again = Ask(kFirst).value();

  EXPECT_EQ(again.leaves, (LeafRange{lease_.leaves.begin, lease_.leaves.begin + 1}));
}

TEST_F(DiscardedWorkTest, AWorkerCannotReturnWhatIsNotItsOwn) {
  for (const LeaseReturned& lie : {LeaseReturned{kFirst + 1, lease_.fence, lease_.lease, 1},
                                   LeaseReturned{kFirst, lease_.fence, lease_.lease + 1, 1},
                                   LeaseReturned{kFirst, lease_.fence, lease_.lease, 4000}}) {
    double refused = 0;
    for (const CoordinatorAction& action : core_.Handle(lie, now_)) {
      const auto* count = std::get_if<CountEvent>(&action);
      if (count != nullptr && count->what == CountEvent::What::kRefusedLease) ++refused;
    }
    EXPECT_EQ(refused, 1);
  }
  EXPECT_EQ(Discarded(CountEvent::What::kDiscardedWorkerLost, WorkerLeft{kFirst, "killed"}),
            samples_);
}

TEST_F(DiscardedWorkTest, ALeaseThatAWorkerReturnsWholeHasEnded) {
  EXPECT_EQ(Discarded(CountEvent::What::kLeaseReturned,
                      LeaseReturned{kFirst, lease_.fence, lease_.lease, 0}),
            1);
}

// A worker that asks for work gives up the lease that it has, once both cannot have crossed.
TEST_F(DiscardedWorkTest, ALeaseIsReturnedByAskingForAnother) {
  now_ = now_ + std::chrono::seconds(60);
  const Fence fence = {kJob, 1, 0};
  EXPECT_EQ(Discarded(CountEvent::What::kLeaseReturned, WorkRequested{kFirst, fence}), 1);
}

// A job of one shard that is at version 1 of 3 and saves every version.
class CheckpointCountsTest : public testing::Test {
 protected:
  CheckpointCountsTest() {
    JobRecord record;
    record.id = kJob;
    record.plan.name = "toy";
    PhasePlan phase;
    phase.steps = 3;
    phase.batch = 8;
    phase.leaves = 2;
    phase.micro_batch = 4;
    record.plan.phases = {phase};
    record.plan.steps = 3;
    record.plan.checkpoint_every_steps = 1;
    record.plan.fraction_bits = 40;
    record.plan.optimizer = DefaultSettings(Rule::kAdamW);
    record.state = JobState::kRunning;
    record.layout = LayoutOf(4);
    record.placement = {{"shard-0", record.layout->all_blocks()}};
    record.version = 1;
    record.applied = 1;
    record.epoch = 4;
    Tell(JobAdded{record, true});
    Tell(ShardJoined{kShard, "shard-0", 11, "here"});
  }

  // Counts of `what` that `event` causes.
  double Tell(const CoordinatorEvent& event,
              CountEvent::What what = CountEvent::What::kCheckpointError) {
    double sum = 0;
    for (const CoordinatorAction& action : core_.Handle(event, now_)) {
      const auto* count = std::get_if<CountEvent>(&action);
      if (count != nullptr && count->what == what) sum += count->value;
    }
    return sum;
  }
  Fence Here() const { return {kJob, core_.FindJob(kJob)->epoch, core_.FindJob(kJob)->version}; }
  // The shard holds what the job is at: a checkpoint is due.
  void Placed() {
    PlacedReply placed;
    placed.fence = Here();
    placed.leaves = {0};
    Tell(ShardReplied{kShard, placed});
  }
  ShardReplied Written(const std::string& error) const {
    return {kShard, CheckpointWrittenReply{Here(), "shard", 100, std::string(32, '0'), error}};
  }
  static ManifestCommitted Committed(const std::string& error) {
    ManifestCommitted event;
    event.job = kJob;
    event.checkpoint.version = 1;
    event.error = error;
    return event;
  }
  ShardReplied CannotPlace() const {
    PlacedReply placed;
    placed.fence = Here();
    placed.error = "shard 0 of checkpoint 1 is damaged";
    return {kShard, placed};
  }

  Coordinator core_{{1, "/ckpt"}};
  Instant now_{};
};

TEST_F(CheckpointCountsTest, WhatAShardCannotWriteIsAnError) {
  Placed();
  EXPECT_EQ(Tell(Written("disk full")), 1);
}

TEST_F(CheckpointCountsTest, WhatCannotBeCommittedIsAnError) {
  Placed();
  EXPECT_EQ(Tell(Written("")), 0);
  EXPECT_EQ(Tell(Committed("disk full")), 1);
}

TEST_F(CheckpointCountsTest, OneOfBeforeATakeoverIsAnErrorToo) {
  Placed();
  EXPECT_EQ(Tell(Written("")), 0);
  Tell(ShardLeft{kShard, "killed"});
  EXPECT_EQ(Tell(Committed("disk full")), 1);
}

TEST_F(CheckpointCountsTest, ATakeoverAbandonsWhatIsNotWrittenYet) {
  Placed();
  EXPECT_EQ(Tell(ShardLeft{kShard, "killed"}, CountEvent::What::kCheckpointAbandoned), 1);
}

TEST_F(CheckpointCountsTest, ATakeoverDoesNotStopACommit) {
  Placed();
  EXPECT_EQ(Tell(Written("")), 0);
  EXPECT_EQ(Tell(ShardLeft{kShard, "killed"}, CountEvent::What::kCheckpointAbandoned), 0);
}

TEST_F(CheckpointCountsTest, OneThatShardsCannotStartFromIsSetAside) {
  Placed();
  Tell(Written(""));
  Tell(Committed(""));
  ASSERT_EQ(core_.FindJob(kJob)->checkpoints.size(), 1u);
  Tell(ShardLeft{kShard, "killed"});
  Tell(ShardJoined{kShard + 1, "shard-0", 12, "here"});
  const auto cannot = [&] {
    ShardReplied reply = CannotPlace();
    reply.session = kShard + 1;
    return Tell(reply, CountEvent::What::kCheckpointQuarantined);
  };

  EXPECT_EQ(cannot(), 0);  // Its own state was tried first.
  Tell(Tick{});

  EXPECT_EQ(cannot(), 1);
  EXPECT_TRUE(core_.FindJob(kJob)->checkpoints.empty());
}

TEST_F(LeaseSizeTest, SlowLeavesComeInLeasesThatShrink) {
  EXPECT_EQ(SizesOf(kFirst, /*seconds_per_leaf=*/1.0), (std::vector<uint32_t>{16, 8, 4, 2, 1, 1}));
}

TEST_F(LeaseSizeTest, QuickLeavesComeInOneLeaseOnceTheSpeedIsKnown) {
  EXPECT_EQ(SizesOf(kFirst, /*seconds_per_leaf=*/0.001), (std::vector<uint32_t>{16, 16}));
}

TEST_F(LeaseSizeTest, ALeaseIsATenthOfASecondOfWorkAtLeast) {
  EXPECT_EQ(SizesOf(kFirst, /*seconds_per_leaf=*/0.02), (std::vector<uint32_t>{16, 8, 5, 3}));
}

TEST_F(LeaseSizeOfTwoTest, QuickLeavesAreSharedOutEvenly) {
  const std::optional<LeaseOrder> one = Ask(kFirst);
  const std::optional<LeaseOrder> two = Ask(kFirst + 1);
  ASSERT_TRUE(one && two);
  for (const auto& [session, lease] : {std::pair(kFirst, *one), std::pair(kFirst + 1, *two)}) {
    core_.Handle(LeaseDone{session, lease.fence, lease.lease, 0.001 * lease.leaves.size()}, now_);
  }
  const uint32_t left = 32 - one->leaves.size() - two->leaves.size();

  const std::optional<LeaseOrder> next = Ask(kFirst);

  ASSERT_TRUE(next);
  EXPECT_EQ(next->leaves.size(), left / 2) << "half of " << left << " is its share";
}

}  // namespace
}  // namespace drover
