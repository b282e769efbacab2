#include "server/coordinator/job_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/coordinator/job_rows.h"
#include "server/optim/step_scalars.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using ::testing::IsEmpty;

class JobBookTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  // As after a restart of the coordinator.
  std::vector<JobRecord> Reopen() {
    book_.reset();
    store_.reset();
    store_ = OpenStore(folder_);
    signal_ = std::make_unique<EventSignal>();
    book_ = std::make_unique<JobBook>(store_.get(), &clock_, signal_.get());
    Result<std::vector<JobRecord>> records = book_->Load();
    EXPECT_TRUE(records.ok()) << records.status().ToString();
    return std::move(records).value();
  }

  JobRecord NewJob(const std::string& name = "digits") {
    JobRecord record;
    record.plan = SmallPlan();
    const Result<JobStore::Created> created = book_->Create("", SmallSpec(name), "local", &record);
    EXPECT_TRUE(created.ok()) << created.status().ToString();
    return record;
  }

  // A job that runs at epoch 1, with a layout and two shards.
  JobRecord RunningJob() {
    JobRecord record = NewJob();
    EXPECT_TRUE(book_->RaiseEpoch({record.id, 0, 1}).ok());
    record.epoch = 1;
    record.state = JobState::kRunning;
    record.layout = SmallLayout();
    record.train_samples = 60000;
    record.eval_samples = 10000;
    record.data = {0x8000000000000001, 2};
    record.numeric_class = "cpu";
    record.placement = {{"s1", {0, 1}}, {"s2", {1, 3}}};
    EXPECT_TRUE(book_->Save(record).ok());
    return record;
  }

  Status Commit(JobRecord* record, bool skip = false) {
    CommitOrder commit;
    commit.fence = {record->id, record->epoch, record->version};
    commit.skip = skip;
    if (!skip) {
      const std::vector<float> floats(kStepScalarCount, 0.5f);
      commit.numbers = {{StepScalarsFromFloats(floats).value()}, {0, 0}, {0.25f, 0.5f}, {}};
    }
    StepSummary summary;
    summary.step = record->version++;
    summary.applied = skip ? record->applied : ++record->applied;
    summary.skipped = skip;
    summary.loss = 0.75;
    summary.samples = 64;
    summary.seconds = 0.5;
    record->last_commit = commit;
    record->last_step = summary;
    return book_->SaveCommit({*record, commit, summary});
  }

  std::vector<v1::JobEvent> EventsOf(uint64_t job) {
    const Result<std::vector<EventRow>> rows = store_->ReadEvents(job, 0, 1000);
    EXPECT_TRUE(rows.ok());
    std::vector<v1::JobEvent> events;
    for (const EventRow& row : rows.value()) {
      EXPECT_TRUE(events.emplace_back().ParseFromString(row.event));
      EXPECT_EQ(events.back().sequence(), row.sequence);
    }
    return events;
  }

  TestFolder folder_{"job_book_test"};
  StillClock clock_;
  std::unique_ptr<JobStore> store_;
  std::unique_ptr<EventSignal> signal_;
  std::unique_ptr<JobBook> book_;
};

TEST_F(JobBookTest, ANewJobSurvivesARestart) {
  const JobRecord before = NewJob();

  const std::vector<JobRecord> records = Reopen();

  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].id, before.id);
  EXPECT_EQ(records[0].name, "digits");
  EXPECT_EQ(records[0].state, JobState::kQueued);
  EXPECT_EQ(records[0].plan.steps, 40);
  EXPECT_EQ(records[0].plan.optimizer, before.plan.optimizer);
  EXPECT_EQ(book_->Facts(before.id)->spec.labels().at("team"), "a");
  EXPECT_EQ(book_->Facts(before.id)->created_unix_ms, clock_.UnixMilliseconds());
}

TEST_F(JobBookTest, JobsComeBackOldestFirstAndLaterOnesFollow) {
  const JobRecord first = NewJob("a");
  clock_.Advance(1);
  const JobRecord second = NewJob("b");

  const std::vector<JobRecord> records = Reopen();

  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].id, first.id);
  EXPECT_EQ(records[1].id, second.id);
  EXPECT_LT(records[0].order, records[1].order);
  EXPECT_GT(NewJob("c").order, records[1].order);
}

TEST_F(JobBookTest, TheSameRequestGivesTheSameJob) {
  JobRecord first;
  JobRecord second;
  JobRecord third;
  const Result<JobStore::Created> created =
      book_->Create("request-1", SmallSpec(), "local", &first);
  const Result<JobStore::Created> again = book_->Create("request-1", SmallSpec(), "local", &second);
  const Result<JobStore::Created> other =
      book_->Create("request-1", SmallSpec("x"), "local", &third);

  ASSERT_TRUE(created.ok() && again.ok());
  EXPECT_TRUE(created.value().is_new);
  EXPECT_FALSE(again.value().is_new);
  EXPECT_EQ(again.value().id, created.value().id);
  EXPECT_EQ(other.status().code(), Code::kAlreadyExists);
}

TEST_F(JobBookTest, RequestsOfDifferentOwnersHaveNothingToDoWithEachOther) {
  JobRecord first;
  JobRecord second;
  const auto ann = book_->Create("request-1", SmallSpec(), "submitter/ann", &first);
  const auto bob = book_->Create("request-1", SmallSpec("x"), "submitter/bob", &second);

  ASSERT_TRUE(ann.ok() && bob.ok());
  EXPECT_TRUE(bob.value().is_new);
  EXPECT_EQ(book_->Facts(first.id)->owner, "submitter/ann");
  EXPECT_TRUE(book_->HasRequest("request-1", "submitter/bob"));
  EXPECT_FALSE(book_->HasRequest("request-1", "local"));
  EXPECT_FALSE(book_->HasRequest("", "submitter/ann"));
}

// Everything that the core needs to go on: docs of JobRecord.
TEST_F(JobBookTest, ARunningJobComesBackAsItWas) {
  JobRecord before = RunningJob();
  ASSERT_TRUE(Commit(&before).ok());
  ASSERT_TRUE(Commit(&before, /*skip=*/true).ok());
  ASSERT_TRUE(Commit(&before).ok());
  before.ledger = {12, 12, 24, 24, 5, 6};
  before.consecutive_skips = 2;
  before.run_seconds = 12.5;
  before.workers_lost = 3;
  before.shards_restarted = 4;
  before.reason = "WAITING_FOR_SHARDS";
  before.message = "1 of 2 shards are there";
  before.last_eval = EvalSummary{3, 0.5, 0.875, 10000};
  before.schedule = {4, 2, {10, 0.5, 1, 3}, {1.5, 2.5, 0.25}};
  const CheckpointRecord checkpoint = {
      2, 1, "/c/2-1", 999, "digest", {8, 8, 16, 16, 1, 2}, {2, 1, {}, {0.5, 4, 0.125}}};
  before.checkpoints = {checkpoint};
  ASSERT_TRUE(book_->SaveCheckpoint({checkpoint, before.id}).ok());
  ASSERT_TRUE(book_->Save(before).ok());

  const std::vector<JobRecord> records = Reopen();

  ASSERT_EQ(records.size(), 1u);
  const JobRecord& after = records[0];
  EXPECT_EQ(after.state, JobState::kRunning);
  EXPECT_EQ(after.reason, before.reason);
  EXPECT_EQ(after.message, before.message);
  EXPECT_EQ(after.epoch, 1u);
  EXPECT_EQ(after.version, 3);
  EXPECT_EQ(after.applied, 2);
  EXPECT_EQ(after.consecutive_skips, 2);
  EXPECT_EQ(after.ledger, before.ledger);
  EXPECT_EQ(after.workers_lost, 3);
  EXPECT_EQ(after.shards_restarted, 4);
  EXPECT_EQ(after.run_seconds, 12.5);
  EXPECT_EQ(after.layout->hash(), before.layout->hash());
  EXPECT_EQ(after.train_samples, 60000);
  EXPECT_EQ(after.eval_samples, 10000);
  EXPECT_EQ(after.data, (DataFingerprint{0x8000000000000001, 2}));
  EXPECT_EQ(after.numeric_class, "cpu");
  EXPECT_EQ(after.placement, before.placement);
  ASSERT_TRUE(after.last_commit.has_value());
  EXPECT_EQ(after.last_commit->fence, (Fence{before.id, 1, 2}));
  EXPECT_EQ(after.last_commit->numbers.tensor_scales, before.last_commit->numbers.tensor_scales);
  EXPECT_EQ(after.last_step->loss, 0.75);
  EXPECT_EQ(after.last_eval->accuracy, 0.875);
  ASSERT_EQ(after.checkpoints.size(), 1u);
  EXPECT_EQ(after.checkpoints[0].path, "/c/2-1");
  EXPECT_EQ(after.checkpoints[0].ledger, checkpoint.ledger);
  EXPECT_EQ(after.schedule, before.schedule);
  EXPECT_EQ(after.checkpoints[0].schedule, checkpoint.schedule);
}

TEST_F(JobBookTest, GoingBackForgetsLaterCommits) {
  JobRecord record = RunningJob();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Commit(&record).ok());
  record.version = 1;
  record.applied = 1;
  record.last_commit.reset();
  ASSERT_TRUE(book_->Save(record).ok());

  const std::vector<JobRecord> records = Reopen();

  EXPECT_EQ(records[0].version, 1);
  EXPECT_EQ(records[0].applied, 1);
  EXPECT_EQ(store_->GetCommit(record.id, 2).status().code(), Code::kNotFound);
  EXPECT_TRUE(Commit(&record).ok());
}

TEST_F(JobBookTest, CheckpointsThatTheCoreDroppedAreForgotten) {
  JobRecord record = RunningJob();
  for (const int64_t version : {1, 2, 3}) {
    const CheckpointRecord checkpoint = {version, version, "/c", 1, "d", {}};
    record.checkpoints.push_back(checkpoint);
    ASSERT_TRUE(book_->SaveCheckpoint({checkpoint, record.id}).ok());
  }
  record.checkpoints.erase(record.checkpoints.begin());
  ASSERT_TRUE(book_->Save(record).ok());

  const std::vector<JobRecord> records = Reopen();

  ASSERT_EQ(records[0].checkpoints.size(), 2u);
  EXPECT_EQ(records[0].checkpoints[0].version, 2);
  EXPECT_EQ(records[0].checkpoints[1].version, 3);
}

TEST_F(JobBookTest, EventsAreNumberedInTheOrderInWhichTheyCame) {
  JobRecord record = NewJob();
  book_->Add(LogEvent{record.id, LogSeverity::kWarning, "shard/s1", "lost"});
  book_->Add(StateEvent{record.id, JobState::kStarting});
  ASSERT_TRUE(book_->Flush().ok());
  record = RunningJob();  // Another job: numbers of its own.
  book_->Add(EvalEvent{record.id, {1, 0.5, 0.25, 100}});
  ASSERT_TRUE(Commit(&record).ok());

  const std::vector<v1::JobEvent> events = EventsOf(record.id);

  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(events[1].eval().accuracy(), 0.25);
  EXPECT_EQ(events[2].step().samples_per_second(), 128.0);  // 64 in half a second.
}

TEST_F(JobBookTest, ReportsOfStepsAndEvaluationsHaveATimeAndStayInTheHistory) {
  JobRecord record = RunningJob();
  ASSERT_TRUE(Commit(&record).ok());
  book_->Add(EvalEvent{record.id, {1, 0.5, 0.25, 100}});
  ASSERT_TRUE(Commit(&record).ok());

  const std::vector<ReportRow> steps = store_->ReadSteps(record.id, 0, 10).value();
  const std::vector<ReportRow> evaluations = store_->ReadEvaluations(record.id, 0, 10).value();

  ASSERT_EQ(steps.size(), 2u);
  v1::StepReport step;
  ASSERT_TRUE(step.ParseFromString(steps[1].report));
  EXPECT_EQ(step.step(), 1);
  EXPECT_EQ(step.time_unix_ms(), clock_.UnixMilliseconds());
  ASSERT_EQ(evaluations.size(), 1u);
  v1::EvalReport evaluation;
  ASSERT_TRUE(evaluation.ParseFromString(evaluations[0].report));
  EXPECT_EQ(evaluation.accuracy(), 0.25);
  EXPECT_EQ(evaluation.time_unix_ms(), clock_.UnixMilliseconds());
}

TEST_F(JobBookTest, NumbersOfEventsGoOnAfterARestart) {
  const JobRecord record = NewJob();
  book_->Add(LogEvent{record.id, LogSeverity::kError, "coordinator", "before"});
  ASSERT_TRUE(book_->Flush().ok());

  Reopen();
  book_->Add(LogEvent{record.id, LogSeverity::kInfo, "coordinator", "after"});
  ASSERT_TRUE(book_->Flush().ok());

  const std::vector<v1::JobEvent> events = EventsOf(record.id);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].log().level(), "error");
  EXPECT_EQ(events[2].log().text(), "after");
}

TEST_F(JobBookTest, EventsOfAnUnknownJobAreDropped) {
  book_->Add(LogEvent{77, LogSeverity::kInfo, "coordinator", "hello"});

  EXPECT_TRUE(book_->Flush().ok());
  EXPECT_THAT(EventsOf(77), IsEmpty());
}

TEST_F(JobBookTest, TimesOfAJobAreThoseOfItsStates) {
  JobRecord record = NewJob();
  clock_.Advance(1000);
  record.state = JobState::kStarting;
  ASSERT_TRUE(book_->Save(record).ok());
  clock_.Advance(1000);
  record.state = JobState::kCancelled;
  ASSERT_TRUE(book_->Save(record).ok());

  const JobFacts* facts = book_->Facts(record.id);

  EXPECT_EQ(facts->started_unix_ms - facts->created_unix_ms, 1000);
  EXPECT_EQ(facts->ended_unix_ms - facts->created_unix_ms, 2000);
}

TEST_F(JobBookTest, AnotherCoordinatorsEpochIsAFailure) {
  const JobRecord record = RunningJob();

  EXPECT_EQ(book_->RaiseEpoch({record.id, 0, 1}).code(), Code::kFailedPrecondition);
}

TEST_F(JobBookTest, ADeletedJobIsGone) {
  const JobRecord record = NewJob();

  ASSERT_TRUE(book_->Delete(record.id).ok());

  EXPECT_EQ(book_->Facts(record.id), nullptr);
  EXPECT_THAT(Reopen(), IsEmpty());
}

// Maps have no order of their own: the digest of a spec must not depend on it.
TEST(SerializeSpecTest, EqualSpecsGiveEqualBytes) {
  v1::JobSpec forth;
  v1::JobSpec back;
  for (int i = 0; i < 50; ++i) (*forth.mutable_labels())["k" + std::to_string(i)] = "v";
  for (int i = 49; i >= 0; --i) (*back.mutable_labels())["k" + std::to_string(i)] = "v";

  EXPECT_EQ(SerializeSpec(forth), SerializeSpec(back));
}

TEST_F(JobBookTest, ADamagedRowIsNamed) {
  JobRow row;
  row.id = 0xabc;
  row.spec = "not a spec";
  row.state = 1;
  ASSERT_TRUE(store_->CreateJob(row, {}).ok());

  const Status status = JobBook(store_.get(), &clock_, signal_.get()).Load().status();

  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("0000000000000abc"));
}

}  // namespace
}  // namespace drover
