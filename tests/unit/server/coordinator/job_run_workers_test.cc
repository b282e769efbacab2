// What a running job says of itself when it waits for workers or shards.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/coordinator/coordinator.h"
#include "server/optim/rule.h"

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
    record.plan.fraction_bits = 40;
    record.plan.optimizer = DefaultSettings(Rule::kAdamW);
    Tell(JobAdded{record, false});
    Tell(ShardJoined{kShard, "shard-0", 11, "here"});
  }

  void Tell(const CoordinatorEvent& event) { core_.Handle(event, now_); }

  void Join(SessionId session, const std::string& name, int64_t width) {
    Tell(WorkerJoined{session, name, "cpu", 1});
    Tell(ModelDescribed{session, kJob, job().epoch, LayoutOf(width), 100, 10, ""});
  }

  // The first worker describes the model, the shard takes its blocks.
  void Run() {
    Join(2, "first", 4);
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
};

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

}  // namespace
}  // namespace drover
