// The runtime with the real core and a real job store; worker and shard are scripts that hold a
// session and post events.
#include "server/coordinator/coordinator_runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/tls/job_token.h"
#include "server/coordinator/job_rows.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

class CountingObserver final : public CoordinatorObserver {
 public:
  void OnEvent(const CoordinatorEvent& /*event*/) override { ++events; }
  void OnAction(const CoordinatorAction& /*action*/) override {}
  void OnStoreWrite(StoreWrite kind, double /*seconds*/) override {
    if (kind == StoreWrite::kCommit) ++commits;
  }
  void OnUnknownJob() override { ++unknown_jobs; }
  void OnTick(const Coordinator& /*core*/) override { ++ticks; }

  std::atomic<int> events = 0;
  std::atomic<int> commits = 0;
  std::atomic<int> unknown_jobs = 0;
  std::atomic<int> ticks = 0;
};

class CoordinatorRuntimeTest : public ::testing::Test {
 protected:
  static constexpr SessionId kShard = 1001;
  static constexpr SessionId kWorker = 1002;

  void SetUp() override { store_ = OpenStore(folder_); }
  void TearDown() override { runtime_.reset(); }

  void Start(int64_t jobs_per_owner = CoordinatorRuntime::kJobsPerOwner) {
    CoordinatorOptions options;
    options.checkpoint_directory = folder_.path() + "/checkpoints";
    runtime_ = std::make_unique<CoordinatorRuntime>(
        options, CoordinatorRuntime::Parts{store_.get(), &FileSystem::Real(), &clock_, &sessions_,
                                           &observer_, jobs_per_owner});
    const Status status = runtime_->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  // As if the process had been killed and started again.
  void Restart() {
    runtime_.reset();
    store_.reset();
    store_ = OpenStore(folder_);
    Start();
  }

  // Puts a job into the store as an earlier life of the coordinator left it.
  void Leave(uint64_t id, const std::string& name, JobState state) {
    JobRecord record;
    record.id = id;
    record.name = name;
    record.plan = SmallPlan();
    record.state = state;
    JobFacts facts;
    facts.spec = SmallSpec(name);
    facts.created_unix_ms = clock_.UnixMilliseconds();
    clock_.Advance(1);
    ASSERT_TRUE(store_->CreateJob(RowOf(record, facts, ""), {}).ok());
  }

  v1::Job Create(const std::string& name) {
    Result<JobDesk::Created> created = runtime_->Create("", SmallSpec(name), SmallPlan(), "local");
    EXPECT_TRUE(created.ok()) << created.status().ToString();
    return created.ok() ? created.value().job : v1::Job();
  }
  // A shard and a worker, so that a job can start; what they are told goes nowhere.
  void JoinCluster() {
    runtime_->Post(ShardJoined{kShard, "s1", 5, "127.0.0.1:9"});
    runtime_->Post(WorkerJoined{kWorker, "w1", "cpu", 4});
  }
  // Until the runtime has seen that so much time is over.
  void AdvanceToTick(int64_t milliseconds) {
    (void)runtime_->List();  // No tick is due any more.
    const int before = observer_.ticks;
    clock_.Advance(milliseconds);
    while (observer_.ticks == before) (void)runtime_->List();
  }
  v1::Job Get(const std::string& job) {
    Result<v1::Job> found = runtime_->Get(job);
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found.ok() ? found.value() : v1::Job();
  }

  TestFolder folder_{"coordinator_runtime_test"};
  StillClock clock_;
  std::unique_ptr<JobStore> store_;
  PeerSessions sessions_;
  CountingObserver observer_;
  std::unique_ptr<CoordinatorRuntime> runtime_;
};

TEST_F(CoordinatorRuntimeTest, JobsAreFoundByIdNameAndPrefix) {
  Leave(0xabcd000000000001, "a", JobState::kFailed);
  Leave(0xabcd000000000002, "a", JobState::kFailed);
  Leave(0x1234000000000000, "b", JobState::kFailed);
  Start();

  EXPECT_EQ(Get("abcd000000000001").id(), "abcd000000000001");
  EXPECT_EQ(Get("a").id(), "abcd000000000002");  // The newest of that name.
  EXPECT_EQ(Get("1234").id(), "1234000000000000");
  EXPECT_EQ(runtime_->Get("123").status().code(), Code::kNotFound);
  const Status ambiguous = runtime_->Get("abcd").status();
  EXPECT_EQ(ambiguous.code(), Code::kInvalidArgument);
  EXPECT_THAT(ambiguous.message(), HasSubstr("2 jobs"));
}

TEST_F(CoordinatorRuntimeTest, TheListBeginsWithTheNewest) {
  Leave(3, "first", JobState::kFailed);
  Leave(1, "second", JobState::kFailed);
  Start();
  Create("third");

  const Result<std::vector<v1::Job>> jobs = runtime_->List();

  ASSERT_EQ(jobs.value().size(), 3u);
  EXPECT_EQ(jobs.value()[0].spec().name(), "third");
  EXPECT_EQ(jobs.value()[1].spec().name(), "second");
  EXPECT_EQ(jobs.value()[2].spec().name(), "first");
}

TEST_F(CoordinatorRuntimeTest, TheStatusBeginsWithActiveJobsAndSelectsOne) {
  Leave(3, "old", JobState::kFailed);
  Leave(1, "old", JobState::kSucceeded);
  Leave(2, "waits", JobState::kSuspended);
  Start();
  Create("runs");

  const StatusFacts facts = runtime_->ReadStatus("").value();

  ASSERT_EQ(facts.jobs.size(), 4u);
  EXPECT_EQ(facts.jobs_total, 4);
  EXPECT_EQ(facts.jobs[0].name, "runs");
  EXPECT_EQ(facts.jobs[1].name, "waits");
  EXPECT_EQ(facts.jobs[2].id, "0000000000000001");
  EXPECT_TRUE(facts.jobs[2].is_newest_of_name);
  EXPECT_FALSE(facts.jobs[3].is_newest_of_name);
  EXPECT_EQ(facts.selected, facts.jobs[0].id);
  EXPECT_EQ(runtime_->ReadStatus("old").value().selected, "0000000000000001");
  EXPECT_EQ(runtime_->ReadStatus("0000000000000003").value().selected, "0000000000000003");
  EXPECT_EQ(runtime_->ReadStatus("nobody").value().selected, facts.jobs[0].id);
}

TEST_F(CoordinatorRuntimeTest, TheStatusIsBoundedButHoldsTheSelectedJob) {
  for (uint64_t id = 1; id <= CoordinatorRuntime::kStatusRowsMax + 20; ++id) {
    Leave(id, "old", JobState::kFailed);
  }
  Start();

  const StatusFacts facts = runtime_->ReadStatus("0000000000000001").value();

  EXPECT_EQ(facts.jobs.size(), CoordinatorRuntime::kStatusRowsMax + 1);
  EXPECT_EQ(facts.jobs.back().id, facts.selected);
  EXPECT_EQ(facts.jobs_total, 120);
}

TEST_F(CoordinatorRuntimeTest, ARepeatedRequestGivesTheSameJob) {
  Start();
  const Result<JobDesk::Created> first = runtime_->Create("r", SmallSpec(), SmallPlan(), "local");
  const Result<JobDesk::Created> again = runtime_->Create("r", SmallSpec(), SmallPlan(), "local");
  const Result<JobDesk::Created> other =
      runtime_->Create("r", SmallSpec("x"), SmallPlan(), "local");

  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_FALSE(again.value().is_new);
  EXPECT_EQ(again.value().job.id(), first.value().job.id());
  EXPECT_EQ(other.status().code(), Code::kAlreadyExists);
}

TEST_F(CoordinatorRuntimeTest, JobsOfOthersAreNotFound) {
  Start();
  const auto create = [&](const char* name, const char* owner) {
    return runtime_->Create("", SmallSpec(name), SmallPlan(), owner).value().job;
  };
  const v1::Job ann = create("digits", "submitter/ann");
  const v1::Job bob = create("digits", "submitter/bob");

  EXPECT_EQ(ann.owner(), "submitter/ann");
  EXPECT_EQ(runtime_->FindOwned("digits", "submitter/ann").value(), ann.id());
  EXPECT_EQ(runtime_->FindOwned("digits", "submitter/bob").value(), bob.id());
  EXPECT_EQ(runtime_->FindOwned(ann.id(), "submitter/ann").value(), ann.id());
  for (const std::string& name : {bob.id(), bob.id().substr(0, 12)}) {
    const Status status = runtime_->FindOwned(name, "submitter/ann").status();
    EXPECT_EQ(status.code(), Code::kNotFound);
    EXPECT_EQ(status.message(), "no job \"" + name + "\"");
  }
  EXPECT_EQ(runtime_->FindOwned("digits", "submitter/eve").status().code(), Code::kNotFound);
}

TEST_F(CoordinatorRuntimeTest, AnOwnerHasALimitOfJobsThatHaveNotEnded) {
  Start(/*jobs_per_owner=*/2);
  const auto create = [&](const char* request, const char* owner) {
    return runtime_->Create(request, SmallSpec(), SmallPlan(), owner);
  };
  ASSERT_TRUE(create("1", "submitter/ann").ok());
  const std::string second = create("2", "submitter/ann").value().job.id();

  const Status refused = create("3", "submitter/ann").status();
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("submitter/ann has 2 jobs that have not ended"));
  EXPECT_FALSE(create("2", "submitter/ann").value().is_new) << "it is there already";
  EXPECT_TRUE(create("3", "submitter/bob").ok());
  ASSERT_TRUE(runtime_->Ask(second, JobVerb::kCancel).ok());
  EXPECT_TRUE(create("3", "submitter/ann").ok());
}

TEST_F(CoordinatorRuntimeTest, VerbsChangeTheJobBeforeTheyAreAnswered) {
  Start();
  Create("runs");
  const std::string id = Create("waits").id();
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);

  EXPECT_EQ(runtime_->Ask(id, JobVerb::kSuspend).value().state(), v1::JOB_STATE_SUSPENDED);
  EXPECT_EQ(runtime_->Ask(id, JobVerb::kResume).value().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(runtime_->Ask(id, JobVerb::kCancel).value().state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(runtime_->Ask(id, JobVerb::kResume).status().code(), Code::kFailedPrecondition);
}

TEST_F(CoordinatorRuntimeTest, OnlyEndedJobsAreDeleted) {
  Start();
  Create("runs");
  const std::string id = Create("waits").id();

  EXPECT_EQ(runtime_->Delete(id).code(), Code::kFailedPrecondition);
  ASSERT_TRUE(runtime_->Ask(id, JobVerb::kCancel).ok());
  EXPECT_TRUE(runtime_->Delete(id).ok());

  EXPECT_EQ(runtime_->Get(id).status().code(), Code::kNotFound);
  EXPECT_EQ(runtime_->Delete(id).code(), Code::kNotFound);
  Restart();
  EXPECT_EQ(runtime_->List().value().size(), 1u);
}

TEST_F(CoordinatorRuntimeTest, ADeletedJobTakesItsCheckpointsWithIt) {
  Leave(0xab, "old", JobState::kSucceeded);
  Leave(0xcd, "kept", JobState::kSucceeded);
  const std::string root = folder_.path() + "/checkpoints";
  for (const char* job : {"/00000000000000ab", "/00000000000000cd"}) {
    std::filesystem::create_directories(root + job + "/ckpt/0000000000000005-1");
  }
  std::filesystem::create_directories(root + "/00000000000000cd/ckpt/.tmp-0000000000000009-1");
  Start();
  EXPECT_FALSE(std::filesystem::exists(root + "/00000000000000cd/ckpt/.tmp-0000000000000009-1"));

  ASSERT_TRUE(runtime_->Delete("old").ok());
  runtime_.reset();  // Finishes what its threads have begun.

  EXPECT_FALSE(std::filesystem::exists(root + "/00000000000000ab"));
  EXPECT_FALSE(std::filesystem::exists(root + "/00000000000000ab.deleted"));
  EXPECT_TRUE(std::filesystem::exists(root + "/00000000000000cd/ckpt/0000000000000005-1"));
}

TEST_F(CoordinatorRuntimeTest, AJobIsDeletedWhenItsTimeToLiveIsOver) {
  Start();
  JobPlan plan = SmallPlan();
  plan.ttl_after_end_ms = 5000;
  const std::string brief =
      runtime_->Create("", SmallSpec("brief"), plan, "local").value().job.id();
  const std::string kept = Create("kept").id();
  AdvanceToTick(9000);  // Not while it waits.
  ASSERT_TRUE(runtime_->Ask(brief, JobVerb::kCancel).ok());
  ASSERT_TRUE(runtime_->Ask(kept, JobVerb::kCancel).ok());
  AdvanceToTick(4900);
  EXPECT_EQ(Get(brief).state(), v1::JOB_STATE_CANCELLED);

  AdvanceToTick(1000);

  EXPECT_EQ(runtime_->Get(brief).status().code(), Code::kNotFound);
  EXPECT_EQ(Get(kept).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(store_->ListJobs().value().size(), 1u);
}

TEST_F(CoordinatorRuntimeTest, AJobThatRanGoesOnAfterARestart) {
  Start();
  JoinCluster();
  const std::string id = Create("digits").id();
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_STARTING);

  Restart();

  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_RECOVERING);
}

TEST_F(CoordinatorRuntimeTest, EventsAreReadWithoutGaps) {
  Start();
  JoinCluster();
  const std::string id = Create("digits").id();
  ASSERT_TRUE(runtime_->Ask(id, JobVerb::kCancel).ok());

  const std::vector<v1::JobEvent> all = runtime_->ReadEvents(id, 0, 100).value();
  const std::vector<v1::JobEvent> later = runtime_->ReadEvents(id, 1, 1).value();

  ASSERT_GE(all.size(), 3u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].sequence(), int64_t(i) + 1);
  EXPECT_EQ(all.front().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(all.back().state(), v1::JOB_STATE_CANCELLED);
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0].sequence(), 2);
  EXPECT_EQ(runtime_->ReadEvents("digits", 0, 1).status().code(), Code::kInvalidArgument);
}

// Five steps and an evaluation after the second one.
TEST_F(CoordinatorRuntimeTest, MetricsAreReadInPagesOrAsPointsOfAChart) {
  Leave(0xa, "a", JobState::kSuspended);
  Start();
  JobRow row = store_->GetJob(0xa).value();
  for (int64_t step = 0; step < 5; ++step) {
    v1::StepReport report;
    report.set_step(step);
    row.step = row.applied = step + 1;
    ASSERT_TRUE(
        store_->CommitStep(row, {step, step + 1, false, "", report.SerializeAsString()}, {}).ok());
  }
  v1::EvalReport evaluation;
  evaluation.set_version(2);
  EventRow event = {1, 0, v1::JobEvent().SerializeAsString(), 2, evaluation.SerializeAsString()};
  ASSERT_TRUE(store_->AppendEvents(0xa, {event}).ok());
  const std::string id = "000000000000000a";

  const JobDesk::History first = runtime_->ReadMetrics(id, 0, 2).value();
  const JobDesk::History rest = runtime_->ReadMetrics(id, first.next_step, 3).value();
  const JobDesk::History points = runtime_->ReadMetricsPoints(id, 2).value();

  ASSERT_EQ(first.steps.size(), 2u);
  EXPECT_EQ(first.next_step, 2);
  EXPECT_EQ(first.evaluations.size(), 1u);  // Of version 2: after step 1.
  ASSERT_EQ(rest.steps.size(), 3u);
  EXPECT_EQ(rest.steps[0].step(), 2);
  EXPECT_EQ(rest.next_step, 0);
  EXPECT_EQ(rest.evaluations.size(), 0u);
  ASSERT_EQ(points.steps.size(), 2u);
  EXPECT_EQ(points.steps[1].step(), 4);
  EXPECT_EQ(points.evaluations.size(), 1u);
}

TEST_F(CoordinatorRuntimeTest, MetricsOutsideTheirBoundsAreRefused) {
  Leave(0xa, "a", JobState::kSuspended);
  Start();
  JobRow row = store_->GetJob(0xa).value();
  row.step = row.applied = 1;
  ASSERT_TRUE(store_->CommitStep(row, {0, 1, false, "", "\x0a\xff no report"}, {}).ok());
  row.step = row.applied = 2;
  ASSERT_TRUE(store_->CommitStep(row, {1, 2, false, "", ""}, {}).ok());
  const std::string id = "000000000000000a";

  EXPECT_EQ(runtime_->ReadMetrics("a", 0, 1).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(runtime_->ReadMetrics(id, -1, 1).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(runtime_->ReadMetrics(id, 0, 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(runtime_->ReadMetrics(id, 0, JobDesk::kHistoryPageMax + 1).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(runtime_->ReadMetricsPoints(id, 1).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(runtime_->ReadMetricsPoints(id, 1001).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(runtime_->ReadMetrics(id, 0, 1).status().code(), Code::kDataLoss);
}

TEST_F(CoordinatorRuntimeTest, MessagesAboutUnknownJobsAreDroppedAndCounted) {
  Start();
  runtime_->Post(WorkRequested{1, {77, 1, 0}});
  runtime_->Post(ShardReplied{1, AppliedReply{{77, 1, 0}}});
  runtime_->List().value();  // Behind them in the queue.

  EXPECT_EQ(observer_.unknown_jobs, 2);
}

TEST_F(CoordinatorRuntimeTest, NothingIsAnsweredAfterTheEnd) {
  Start();
  runtime_->Stop();

  EXPECT_FALSE(runtime_->Post(Tick{}));
  EXPECT_EQ(runtime_->Get("a").status().code(), Code::kUnavailable);
}

TEST_F(CoordinatorRuntimeTest, ADamagedStoreIsNotStartedFrom) {
  JobRow row;
  row.id = 1;
  row.state = 99;
  ASSERT_TRUE(store_->CreateJob(row, {}).ok());
  CoordinatorRuntime runtime({},
                             {store_.get(), &FileSystem::Real(), &clock_, &sessions_, &observer_});

  EXPECT_EQ(runtime.Start().code(), Code::kDataLoss);
}

// One step of a job, from its submission to the report of its commit, as worker and shard see it.
TEST_F(CoordinatorRuntimeTest, AStepIsLeasedMeasuredCommittedAndReported) {
  Start();
  const std::string id = Create("digits").id();
  const uint64_t job = store_->ListJobs().value().at(0).id;
  PeerSession worker(&sessions_, PeerKind::kWorker, clock_.Now() + std::chrono::seconds(1), [] {});
  PeerSession shard(&sessions_, PeerKind::kShard, clock_.Now() + std::chrono::seconds(1), [] {});
  const auto next_worker_order = [&] { return std::get<v1::WorkerOrder>(*worker.NextOrder()); };
  const auto next_shard_order = [&] { return std::get<v1::ShardOrder>(*shard.NextOrder()); };
  const std::shared_ptr<const Layout> layout = SmallLayout();

  runtime_->Post(ShardJoined{shard.id(), "s1", 5, "127.0.0.1:9"});
  runtime_->Post(WorkerJoined{worker.id(), "w1", "cpu", 4});
  const v1::WorkerOrder first = next_worker_order();
  ASSERT_TRUE(first.has_assignment());
  EXPECT_EQ(first.assignment().spec().name(), "digits");
  EXPECT_EQ(first.assignment().shards_size(), 0);
  EXPECT_EQ(first.assignment().token(), "");

  runtime_->Post(ModelDescribed{worker.id(), job, 0, layout, 60000, 10000, ""});
  const v1::ShardOrder place = next_shard_order();
  ASSERT_TRUE(place.has_place());
  EXPECT_EQ(place.place().epoch(), 1u);
  EXPECT_EQ(store_->GetJob(job).value().epoch, 1u);  // Durable before it is used.

  const Fence fence = {job, 1, 0};
  runtime_->Post(ShardReplied{shard.id(), PlacedReply{fence, false, {0}, ""}});
  const v1::WorkerOrder placed = next_worker_order();
  EXPECT_EQ(placed.assignment().shards(0).address(), "127.0.0.1:9");
  const Result<JobClaims> token =
      OpenJobToken(place.place().token_key(), placed.assignment().token());
  ASSERT_TRUE(token.ok()) << token.status().ToString();
  EXPECT_EQ(token.value().job, job);
  EXPECT_EQ(token.value().epoch, 1u);
  EXPECT_EQ(token.value().subject, "w1");
  runtime_->Post(WorkRequested{worker.id(), fence});
  const v1::WorkerOrder lease = next_worker_order();
  ASSERT_TRUE(lease.has_lease());

  const int64_t chunks = static_cast<int64_t>(layout->Chunks(layout->all_blocks()).size());
  runtime_->Post(ShardReplied{
      shard.id(), PreparedReply{fence, {64 << 20, 16, 64}, {0.5, 0.5, 0.5}, 4 * chunks, 0, 0}});
  ASSERT_TRUE(next_shard_order().has_measure());
  runtime_->Post(ShardReplied{shard.id(), MeasuredReply{fence, {1, 1, 1}, {1, 1, 1}}});
  const v1::ShardOrder commit = next_shard_order();
  ASSERT_TRUE(commit.has_commit());
  EXPECT_EQ(commit.commit().tensor_scales_size(), 2);
  EXPECT_EQ(store_->GetJob(job).value().step, 1);  // Durable before it is sent.
  EXPECT_EQ(observer_.commits, 1);

  const v1::Job after = Get(id);
  EXPECT_EQ(after.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(after.step(), 1);
  EXPECT_EQ(after.workers(), 1u);
  EXPECT_EQ(after.shards(), 1u);
  EXPECT_EQ(after.last_step().loss(), 1.0);       // 64 in units of 2^-20, over 64 samples.
  EXPECT_EQ(after.last_step().accuracy(), 0.25);  // 16 of 64.
  EXPECT_EQ(after.ledger().leaf_chunks_applied(), 4 * chunks);
  const std::vector<v1::JobEvent> events = runtime_->ReadEvents(id, 0, 100).value();
  const auto steps = std::count_if(events.begin(), events.end(),
                                   [](const v1::JobEvent& event) { return event.has_step(); });
  EXPECT_EQ(steps, 1);

  const StatusFacts status = runtime_->ReadStatus("").value();
  EXPECT_EQ(status.selected, id);
  ASSERT_EQ(status.jobs.size(), 1u);
  EXPECT_EQ(status.jobs[0].state, "RUNNING");
  EXPECT_EQ(status.jobs[0].step, 1);
  EXPECT_EQ(status.jobs[0].steps, 40);
  EXPECT_EQ(status.jobs[0].loss, 1.0);
  ASSERT_EQ(status.workers.size(), 1u);
  EXPECT_EQ(status.workers[0].name, "w1");
  EXPECT_EQ(status.workers[0].state, "active");
  EXPECT_EQ(status.workers[0].lag_steps, 1);  // Asked for work at version 0.
  ASSERT_EQ(status.shards.size(), 1u);
  EXPECT_EQ(status.shards[0].address, "127.0.0.1:9");
  ASSERT_EQ(status.shards[0].parts.size(), 1u);
  EXPECT_EQ(status.shards[0].parts[0].block_end, 3u);
  // Weight and two moments of 300 * 300 + 300 elements.
  EXPECT_EQ(status.shards[0].parts[0].bytes, 3u * 4 * 90'300);
}

}  // namespace
}  // namespace drover
