// Several jobs in one coordinator: whose workers are whose, and what becomes free when.

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/coordinator/coordinator.h"
#include "tests/unit/server/coordinator/toy_record.h"

namespace drover {
namespace {

constexpr SessionId kOneShard = 100;

std::shared_ptr<const Layout> SmallLayout() {
  return std::make_shared<const Layout>(Layout::Make({{"w", {4, 4}, {}}}).value());
}

JobRecord JobOf(uint64_t id, uint32_t min_workers, uint32_t max_workers, int64_t priority = 0) {
  JobRecord record = ToyRecord(id);
  record.plan.min_workers = min_workers;
  record.plan.max_workers = max_workers;
  record.plan.priority = priority;
  return record;
}

class CoordinatorQueueTest : public testing::Test {
 protected:
  CoordinatorQueueTest() { Tell(ShardJoined{kOneShard, "shard-0", 11, "here"}); }

  // Notes whom each worker was told to serve, and what the shard has to forget.
  void Tell(const CoordinatorEvent& event) {
    for (const CoordinatorAction& action : core_.Handle(event, now_)) {
      if (const auto* send = std::get_if<SendToWorker>(&action)) {
        if (const auto* assign = std::get_if<AssignmentOrder>(&send->order)) {
          serves_[send->session] = assign->job;
        } else if (const auto* unassign = std::get_if<UnassignOrder>(&send->order)) {
          EXPECT_EQ(serves_[send->session], unassign->job);
          serves_[send->session] = 0;
        } else if (const auto* lease = std::get_if<LeaseOrder>(&send->order)) {
          EXPECT_EQ(serves_[send->session], lease->fence.job);
          leases_[lease->fence.job].push_back(*lease);
        }
      } else if (const auto* order = std::get_if<SendToShard>(&action)) {
        if (const auto* release = std::get_if<ReleaseOrder>(&order->order)) {
          released_.insert(release->job);
        }
      }
    }
  }
  void Add(const JobRecord& job) { Tell(JobAdded{job, false}); }
  void Join(SessionId session) {
    Tell(WorkerJoined{session, "worker-" + std::to_string(session), "cpu", 1});
  }
  void Describe(SessionId session, uint64_t job, const std::string& error = "") {
    Tell(ModelDescribed{session, job, JobAt(job).epoch, error.empty() ? SmallLayout() : nullptr,
                        100, 10, error});
  }
  void Placed(uint64_t job) {
    PlacedReply placed;
    placed.fence = {job, JobAt(job).epoch, 0};
    placed.leaves = {0};
    Tell(ShardReplied{kOneShard, placed});
    ASSERT_EQ(JobAt(job).state, JobState::kRunning);
  }
  void Ask(SessionId session, uint64_t job) {
    Tell(WorkRequested{session, {job, JobAt(job).epoch, JobAt(job).version}});
  }
  void WaitFor(std::chrono::milliseconds time) {
    now_.since_origin += time;
    Tell(Tick{});
  }
  const JobRecord& JobAt(uint64_t job) const { return *core_.FindJob(job); }

  Coordinator core_{{1, "/ckpt", 16}};
  Instant now_{};
  std::map<SessionId, uint64_t> serves_;
  std::map<uint64_t, std::vector<LeaseOrder>> leases_;
  std::set<uint64_t> released_;
};

TEST_F(CoordinatorQueueTest, AJobSaysWhatItWaitsForUntilItStarts) {
  Add(JobOf(1, 2, 2));
  EXPECT_EQ(JobAt(1).state, JobState::kQueued);
  EXPECT_EQ(JobAt(1).reason, "WAITING_FOR_WORKERS");
  EXPECT_EQ(JobAt(1).message, "waits for 2 workers, 0 are free");
  Join(1);
  EXPECT_EQ(JobAt(1).message, "waits for 2 workers, 1 is free");

  Join(2);

  EXPECT_EQ(JobAt(1).state, JobState::kStarting);
  EXPECT_EQ(serves_[1], 1u);
  EXPECT_EQ(serves_[2], 1u);
}

TEST_F(CoordinatorQueueTest, WorkersOfOneJobGetLeasesOfNoOther) {
  for (const SessionId session : {1, 2, 3}) Join(session);
  Add(JobOf(1, 1, 1));
  Add(JobOf(2, 1, 2));
  ASSERT_EQ(serves_, (std::map<SessionId, uint64_t>{{1, 1}, {2, 2}, {3, 2}}));
  for (const SessionId session : {1, 2, 3}) Describe(session, serves_[session]);
  Placed(1);
  Placed(2);
  EXPECT_EQ(core_.running_jobs(), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(core_.worker_count(1), 1u);
  EXPECT_EQ(core_.worker_count(2), 2u);

  Ask(1, 2);  // Not its job: no lease, and nothing is noted.
  EXPECT_TRUE(leases_[2].empty());
  for (const SessionId session : {1, 2, 3}) Ask(session, serves_[session]);

  EXPECT_EQ(leases_[1].size(), 1u);
  EXPECT_EQ(leases_[2].size(), 2u);
  EXPECT_EQ(core_.open_leases(1), 1u);
  EXPECT_EQ(core_.open_leases(2), 2u);
}

TEST_F(CoordinatorQueueTest, ASuspendedJobGivesItsWorkersToTheOneThatWaits) {
  Join(1);
  Join(2);
  Add(JobOf(1, 1, 0));
  Add(JobOf(2, 2, 0));
  EXPECT_EQ(JobAt(2).message, "waits for 2 workers, 0 are free");
  Describe(1, 1);
  Describe(2, 1);
  Placed(1);

  Tell(JobVerbRequested{1, JobVerb::kSuspend});

  EXPECT_EQ(JobAt(1).state, JobState::kSuspended);
  EXPECT_TRUE(released_.contains(1));
  EXPECT_EQ(JobAt(2).state, JobState::kStarting);
  EXPECT_EQ(serves_, (std::map<SessionId, uint64_t>{{1, 2}, {2, 2}}));

  Tell(JobVerbRequested{1, JobVerb::kResume});
  EXPECT_EQ(JobAt(1).state, JobState::kQueued);
  EXPECT_EQ(JobAt(1).reason, "WAITING_FOR_WORKERS");
  Tell(JobVerbRequested{2, JobVerb::kCancel});
  EXPECT_EQ(JobAt(1).state, JobState::kStarting);
  EXPECT_EQ(serves_, (std::map<SessionId, uint64_t>{{1, 1}, {2, 1}}));
}

TEST_F(CoordinatorQueueTest, AHigherPriorityStartsBeforeAnOlderJob) {
  Join(1);
  Add(JobOf(1, 1, 0));
  Add(JobOf(2, 1, 0));
  Add(JobOf(3, 1, 0, /*priority=*/1));

  Tell(JobVerbRequested{1, JobVerb::kCancel});

  EXPECT_EQ(serves_[1], 3u);
  EXPECT_EQ(JobAt(2).state, JobState::kQueued);
}

TEST_F(CoordinatorQueueTest, AWorkerThatOneJobRefusesServesTheNextOne) {
  Join(1);
  Join(2);
  Add(JobOf(1, 1, 0));
  Add(JobOf(2, 1, 0));
  Describe(1, 1);
  ASSERT_EQ(serves_[2], 1u);

  Describe(2, 1, "no such folder");

  EXPECT_EQ(serves_, (std::map<SessionId, uint64_t>{{1, 1}, {2, 2}}));
  Describe(2, 2);
  EXPECT_EQ(core_.worker_count(2), 1u);
}

TEST_F(CoordinatorQueueTest, AMachineWithoutTheDataDoesNotFailAJobThatOthersMayServe) {
  Join(1);
  Join(2);
  Add(JobOf(1, 1, 1));

  Describe(1, 1, "no such folder");
  EXPECT_EQ(JobAt(1).state, JobState::kStarting);
  EXPECT_EQ(serves_[2], 1u);

  Describe(2, 1, "no such folder");
  EXPECT_EQ(JobAt(1).state, JobState::kFailed);
  EXPECT_EQ(JobAt(1).reason, "NO_WORKER_CAN_SERVE");
}

TEST_F(CoordinatorQueueTest, ALeavingWorkerIsReplacedAndStartsNothing) {
  Join(1);
  Add(JobOf(1, 1, 1));
  Tell(WorkerLeaving{1});
  Add(JobOf(2, 1, 1));
  EXPECT_EQ(JobAt(2).state, JobState::kQueued);

  Join(2);

  EXPECT_EQ(serves_[2], 1u);
}

TEST_F(CoordinatorQueueTest, RestoredJobsGoOnWithWorkersBeforeOthersStart) {
  for (const uint64_t id : {1, 2, 3}) {
    JobRecord record = JobOf(id, id == 1 ? 2 : 1, 1 + (id == 1), id == 1 ? 9 : 0);
    record.state = id == 1 ? JobState::kQueued : JobState::kRunning;
    Tell(JobAdded{record, /*restored=*/true});
  }
  EXPECT_EQ(core_.running_jobs(), (std::vector<uint64_t>{2, 3}));

  for (const SessionId session : {1, 2, 3, 4}) Join(session);

  EXPECT_EQ(serves_, (std::map<SessionId, uint64_t>{{1, 2}, {2, 3}, {3, 1}, {4, 1}}));
}

TEST_F(CoordinatorQueueTest, AShardThatWasAwayIsToldWhatHasEnded) {
  Join(1);
  Add(JobOf(1, 1, 0));
  Add(JobOf(2, 1, 0));
  Tell(JobVerbRequested{1, JobVerb::kCancel});
  Describe(1, 2);
  Placed(2);
  released_.clear();

  Tell(ShardLeft{kOneShard, "stream broke"});
  Tell(ShardJoined{kOneShard + 1, "shard-0", 11, "here", {1, 2, 77}});

  EXPECT_EQ(released_, (std::set<uint64_t>{1}));  // 2 runs here, and of 77 nobody knows.
}

TEST_F(CoordinatorQueueTest, TheDeadlineCountsTheTimeThatAJobRuns) {
  Join(1);
  JobRecord record = JobOf(1, 1, 0);
  record.plan.deadline_ms = 10'000;
  Add(record);
  Describe(1, 1);
  Placed(1);
  WaitFor(std::chrono::milliseconds(6000));
  Tell(JobVerbRequested{1, JobVerb::kSuspend});
  ASSERT_EQ(JobAt(1).state, JobState::kSuspended);
  WaitFor(std::chrono::milliseconds(60'000));
  Tell(JobVerbRequested{1, JobVerb::kResume});
  Placed(1);
  WaitFor(std::chrono::milliseconds(3900));
  EXPECT_EQ(JobAt(1).state, JobState::kRunning);

  WaitFor(std::chrono::milliseconds(200));

  EXPECT_EQ(JobAt(1).state, JobState::kFailed);
  EXPECT_EQ(JobAt(1).reason, "DEADLINE");
}

}  // namespace
}  // namespace drover
