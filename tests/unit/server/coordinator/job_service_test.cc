// JobService over a real channel, against a desk that a script fills.
#include "server/coordinator/job_service.h"

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/rpc/channel.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kId[] = "00000000000000aa";

// One job and its events. Thread-safe.
class ScriptedDesk final : public JobDesk {
 public:
  Result<Created> Create(const std::string& request_id, const v1::JobSpec& spec,
                         const JobPlan& plan, const std::string& owner) override {
    MutexLock lock(&mutex_);
    job_.set_owner(owner);
    if (!create_error_.ok()) return create_error_;
    EXPECT_EQ(plan.steps, spec.steps());
    const bool is_new = request_ids_.insert(request_id).second;
    job_.set_id(kId);
    *job_.mutable_spec() = spec;
    return Created{job_, is_new};
  }
  Result<std::string> FindOwned(const std::string& job, const std::string& owner) override {
    MutexLock lock(&mutex_);
    if (owner != job_.owner()) return Status(Code::kNotFound, "no job " + job);
    return std::string(kId);
  }
  Result<v1::Job> Get(const std::string& job) override {
    MutexLock lock(&mutex_);
    if (job != kId && job != job_.spec().name()) return Status(Code::kNotFound, "no job " + job);
    return job_;
  }
  Result<std::vector<v1::Job>> List() override {
    MutexLock lock(&mutex_);
    return std::vector<v1::Job>(list_count_, job_);
  }
  Result<v1::Job> Ask(const std::string& /*job*/, JobVerb verb) override {
    MutexLock lock(&mutex_);
    asked_.push_back(verb);
    DROVER_RETURN_IF_ERROR(CheckVerb(static_cast<JobState>(job_.state()), verb));
    return job_;
  }
  Status Delete(const std::string& job) override { return Get(job).status(); }
  Result<std::vector<v1::CheckpointInfo>> Checkpoints(const std::string& job) override {
    v1::CheckpointInfo info;
    info.set_job_id(job.empty() ? kId : job);
    return std::vector<v1::CheckpointInfo>{info};
  }
  Result<std::vector<v1::JobEvent>> ReadEvents(const std::string& id, int64_t after_sequence,
                                               int64_t count_max) override {
    EXPECT_EQ(id, kId);
    MutexLock lock(&mutex_);
    std::vector<v1::JobEvent> found;
    for (const v1::JobEvent& event : events_) {
      if (event.sequence() > after_sequence && std::cmp_less(found.size(), count_max)) {
        found.push_back(event);
      }
    }
    return found;
  }
  // Steps 0 to 2,999 with reasons of `reason_bytes`, evaluated after every second one.
  Result<History> ReadMetrics(const std::string& id, int64_t first_step,
                              int64_t count_max) override {
    EXPECT_EQ(id, kId);
    MutexLock lock(&mutex_);
    History history;
    for (int64_t step = first_step; step < 3000; ++step) {
      if (std::cmp_equal(history.steps.size(), count_max)) {
        history.next_step = step;
        break;
      }
      history.steps.emplace_back().set_step(step);
      history.steps.back().set_skip_reason(std::string(reason_bytes_, 'x'));
      if (step % 2 == 1) history.evaluations.emplace_back().set_version(step + 1);
    }
    return history;
  }
  Result<History> ReadMetricsPoints(const std::string& /*id*/, int64_t points) override {
    History history;
    history.steps.resize(static_cast<size_t>(points));
    return history;
  }
  void WaitForEvent(const std::string& /*id*/, int64_t after_sequence,
                    std::chrono::nanoseconds timeout) override {
    MutexLock lock(&mutex_);
    while (std::cmp_less_equal(events_.size(), after_sequence)) {
      if (!condition_.WaitFor(&mutex_, timeout)) return;
    }
  }

  // The script.
  void SetState(v1::JobState state) {
    MutexLock lock(&mutex_);
    job_.set_id(kId);
    job_.mutable_spec()->set_name("digits");
    job_.set_state(state);
    AddEvent()->set_state(state);
  }
  void AddLog(const std::string& text) {
    MutexLock lock(&mutex_);
    AddEvent()->mutable_log()->set_text(text);
  }
  void SetOwner(const std::string& owner) {
    MutexLock lock(&mutex_);
    job_.set_owner(owner);
  }
  void FailCreateWith(const Status& status) {
    MutexLock lock(&mutex_);
    create_error_ = status;
  }
  void SetListCount(size_t count) {
    MutexLock lock(&mutex_);
    list_count_ = count;
  }
  void SetReasonBytes(size_t bytes) {
    MutexLock lock(&mutex_);
    reason_bytes_ = bytes;
  }
  std::vector<JobVerb> asked() {
    MutexLock lock(&mutex_);
    return asked_;
  }

 private:
  v1::JobEvent* AddEvent() DROVER_REQUIRES(mutex_) {
    events_.emplace_back().set_sequence(static_cast<int64_t>(events_.size()));
    condition_.NotifyAll();
    return &events_.back();
  }

  Mutex mutex_;
  CondVar condition_;
  v1::Job job_ DROVER_GUARDED_BY(mutex_);
  std::vector<v1::JobEvent> events_ DROVER_GUARDED_BY(mutex_);
  std::vector<JobVerb> asked_ DROVER_GUARDED_BY(mutex_);
  std::set<std::string> request_ids_ DROVER_GUARDED_BY(mutex_);
  Status create_error_ DROVER_GUARDED_BY(mutex_);
  size_t list_count_ DROVER_GUARDED_BY(mutex_) = 1;
  size_t reason_bytes_ DROVER_GUARDED_BY(mutex_) = 0;
};

class JobServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kControl);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    stub_ = v1::JobService::NewStub(
        MakeChannel("127.0.0.1:" + std::to_string(port), ChannelKind::kUser));
  }
  void TearDown() override {
    service_.StopWatchers();
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  }

  grpc::Status Create(const v1::JobSpec& spec, const std::string& request_id, bool validate_only,
                      v1::CreateJobResponse* response) {
    v1::CreateJobRequest request;
    *request.mutable_spec() = spec;
    request.set_request_id(request_id);
    request.set_validate_only(validate_only);
    grpc::ClientContext context;
    return stub_->CreateJob(&context, request, response);
  }

  // All events until the server ends the stream.
  std::vector<v1::JobEvent> Watch(int64_t after_sequence, grpc::Status* status) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_job("digits");
    request.set_after_sequence(after_sequence);
    const auto reader = stub_->WatchJob(&context, request);
    std::vector<v1::JobEvent> events;
    v1::JobEvent event;
    while (reader->Read(&event)) events.push_back(event);
    *status = reader->Finish();
    return events;
  }

  std::vector<std::string> outcomes_;  // Of submissions. Written by one call at a time.
  ScriptedDesk desk_;
  JobService service_{&desk_, [this](const char* outcome) { outcomes_.push_back(outcome); },
                      [this](const grpc::ServerContextBase&) { return caller_; }};
  JobService::Caller caller_;  // Not changed during a call.
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::JobService::Stub> stub_;
};

TEST_F(JobServiceTest, AJobIsCreatedWithEveryDefault) {
  v1::JobSpec spec = SmallSpec();
  spec.clear_seed();
  v1::CreateJobResponse response;

  const grpc::Status status = Create(spec, "", false, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.job().id(), kId);
  EXPECT_EQ(response.job().spec().seed(), 1u);
  EXPECT_THAT(outcomes_, ElementsAre("accepted"));
}

TEST_F(JobServiceTest, EveryViolationHasALine) {
  v1::JobSpec spec = SmallSpec();
  spec.set_batch(0);
  spec.set_steps(-1);
  v1::CreateJobResponse response;

  const grpc::Status status = Create(spec, "", false, &response);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("batch: "));
  EXPECT_THAT(status.error_message(), HasSubstr("\nsteps: "));
  EXPECT_THAT(outcomes_, ElementsAre("invalid"));
}

TEST_F(JobServiceTest, ValidationCreatesNothing) {
  v1::CreateJobResponse response;

  const grpc::Status status = Create(SmallSpec(), "", true, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.job().id(), "");
  EXPECT_EQ(response.job().spec().steps(), 40);
  EXPECT_TRUE(outcomes_.empty());
}

TEST_F(JobServiceTest, RepeatsAndRefusalsAreCountedByKind) {
  v1::CreateJobResponse response;
  EXPECT_TRUE(Create(SmallSpec(), "r", false, &response).ok());
  EXPECT_TRUE(Create(SmallSpec(), "r", false, &response).ok());
  desk_.FailCreateWith(Status(Code::kResourceExhausted, "too many jobs"));
  EXPECT_EQ(Create(SmallSpec(), "q", false, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  desk_.FailCreateWith(Status(Code::kAlreadyExists, "another spec"));
  EXPECT_EQ(Create(SmallSpec(), "r", false, &response).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Create(SmallSpec(), std::string(65, 'r'), false, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);

  EXPECT_THAT(outcomes_, ElementsAre("accepted", "duplicate", "quota", "duplicate", "invalid"));
}

TEST_F(JobServiceTest, AnUnknownJobIsNotFound) {
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_job("nobody");
  v1::GetJobResponse response;

  const grpc::Status status = stub_->GetJob(&context, request, &response);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no job nobody");
}

TEST_F(JobServiceTest, VerbsReachTheDesk) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  grpc::ClientContext suspend, resume, cancel;
  v1::SuspendJobResponse suspended;
  v1::ResumeJobResponse resumed;
  v1::CancelJobResponse cancelled;

  EXPECT_TRUE(stub_->SuspendJob(&suspend, {}, &suspended).ok());
  const grpc::Status refused = stub_->ResumeJob(&resume, {}, &resumed);
  EXPECT_TRUE(stub_->CancelJob(&cancel, {}, &cancelled).ok());

  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(desk_.asked(), ElementsAre(JobVerb::kSuspend, JobVerb::kResume, JobVerb::kCancel));
  EXPECT_EQ(cancelled.job().id(), kId);
}

TEST_F(JobServiceTest, AListStaysBelowTheSizeOfAMessage) {
  v1::CreateJobResponse created;
  ASSERT_TRUE(Create(SmallSpec(), "", false, &created).ok());
  desk_.SetListCount(100'000);
  grpc::ClientContext context;
  v1::ListJobsResponse response;

  const grpc::Status status = stub_->ListJobs(&context, {}, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GT(response.jobs_size(), 1000);
  EXPECT_LE(response.ByteSizeLong(), size_t{kControlMessageBytesMax});
}

// Whatever a page holds, it is below the size of a message, and the pages together are everything.
TEST_F(JobServiceTest, PagesOfMetricsMissNothingAndFitAMessage) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  for (const size_t reason_bytes : {0, 2000}) {
    desk_.SetReasonBytes(reason_bytes);
    v1::GetMetricsRequest request;
    request.set_job("digits");
    request.set_page_size(100'000);
    v1::GetMetricsResponse all;
    do {
      grpc::ClientContext context;
      v1::GetMetricsResponse page;
      const grpc::Status status = stub_->GetMetrics(&context, request, &page);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(page.job_id(), kId);
      EXPECT_LE(page.steps_size(), JobDesk::kHistoryPageMax);
      EXPECT_LE(page.ByteSizeLong(), size_t{kControlMessageBytesMax});
      request.set_first_step(page.next_step());
      all.MergeFrom(page);
    } while (request.first_step() != 0);

    ASSERT_EQ(all.steps_size(), 3000);
    ASSERT_EQ(all.evaluations_size(), 1500);
    for (int i = 0; i < 3000; ++i) ASSERT_EQ(all.steps(i).step(), i);
    for (int i = 0; i < 1500; ++i) ASSERT_EQ(all.evaluations(i).version(), 2 * i + 2);
  }
}

TEST_F(JobServiceTest, PointsOfAChartComeAtOnce) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  v1::GetMetricsRequest request;
  request.set_job(kId);
  request.set_points(7);
  v1::GetMetricsResponse response;
  grpc::ClientContext context, other;

  ASSERT_TRUE(stub_->GetMetrics(&context, request, &response).ok());
  EXPECT_EQ(response.steps_size(), 7);
  request.set_job("nobody");
  EXPECT_EQ(stub_->GetMetrics(&other, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobServiceTest, AWatcherOfAnEndedJobGetsAllThatHappened) {
  desk_.SetState(v1::JOB_STATE_QUEUED);
  desk_.AddLog("hello");
  desk_.SetState(v1::JOB_STATE_SUCCEEDED);
  grpc::Status status;

  const std::vector<v1::JobEvent> events = Watch(0, &status);

  EXPECT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].log().text(), "hello");
  EXPECT_FALSE(events[1].has_job());
  EXPECT_EQ(events[2].job().state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobServiceTest, AWatcherGoesOnWhereItStopped) {
  desk_.SetState(v1::JOB_STATE_QUEUED);
  desk_.AddLog("one");
  desk_.SetState(v1::JOB_STATE_FAILED);
  grpc::Status status;

  EXPECT_EQ(Watch(2, &status).size(), 1u);
  EXPECT_EQ(Watch(3, &status).size(), 0u);
  EXPECT_TRUE(status.ok());
}

TEST_F(JobServiceTest, AWatcherFollowsUntilTheEnd) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_job(kId);
  const auto reader = stub_->WatchJob(&context, request);
  v1::JobEvent event;
  ASSERT_TRUE(reader->Read(&event));

  desk_.AddLog("later");
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.log().text(), "later");
  desk_.SetState(v1::JOB_STATE_CANCELLED);
  ASSERT_TRUE(reader->Read(&event));

  EXPECT_FALSE(reader->Read(&event));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(JobServiceTest, LongHistoriesComeWhole) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  for (int i = 0; i < 1000; ++i) desk_.AddLog(std::to_string(i));
  desk_.SetState(v1::JOB_STATE_SUCCEEDED);
  grpc::Status status;

  const std::vector<v1::JobEvent> events = Watch(0, &status);

  ASSERT_EQ(events.size(), 1002u);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].sequence(), int64_t(i) + 1);
}

TEST_F(JobServiceTest, LogsAreTheLogLinesAmongTheEvents) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  desk_.AddLog("one");
  desk_.SetState(v1::JOB_STATE_RECOVERING);
  desk_.AddLog("two");
  grpc::ClientContext context;
  v1::StreamLogsRequest request;
  request.set_job("digits");
  const auto reader = stub_->StreamLogs(&context, request);
  std::vector<std::string> lines;
  v1::JobEvent event;
  while (reader->Read(&event)) lines.push_back(event.log().text());

  EXPECT_TRUE(reader->Finish().ok());  // The job goes on: `follow` is not set.
  EXPECT_THAT(lines, ElementsAre("one", "two"));
}

TEST_F(JobServiceTest, WatchersBeyondTheLimitAreToldToComeAgain) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  v1::WatchJobRequest request;
  request.set_job(kId);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::JobEvent>>> readers;
  v1::JobEvent event;
  for (int i = 0; i < JobService::kWatchersMax; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub_->WatchJob(contexts.back().get(), request));
    ASSERT_TRUE(readers.back()->Read(&event));
  }
  grpc::Status status;

  EXPECT_TRUE(Watch(0, &status).empty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(JobServiceTest, GoingDownEndsWatchers) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  service_.StopWatchers();
  grpc::Status status;

  Watch(0, &status);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(JobServiceTest, ForASubmitterJobsOfOthersDoNotExist) {
  desk_.SetState(v1::JOB_STATE_RUNNING);
  const auto codes = [&] {
    std::vector<grpc::StatusCode> answers;
    const auto add = [&](const auto& call) {
      grpc::ClientContext context;
      answers.push_back(call(&context).error_code());
    };
    v1::GetJobRequest get;
    v1::GetJobResponse got;
    get.set_job(kId);
    add([&](auto* context) { return stub_->GetJob(context, get, &got); });
    v1::CancelJobRequest cancel;
    v1::CancelJobResponse cancelled;
    cancel.set_job(kId);
    add([&](auto* context) { return stub_->CancelJob(context, cancel, &cancelled); });
    v1::DeleteJobRequest remove;
    v1::DeleteJobResponse removed;
    remove.set_job(kId);
    add([&](auto* context) { return stub_->DeleteJob(context, remove, &removed); });
    v1::ListCheckpointsRequest list;
    v1::ListCheckpointsResponse listed;
    list.set_job(kId);
    add([&](auto* context) { return stub_->ListCheckpoints(context, list, &listed); });
    v1::GetMetricsRequest metrics;
    v1::GetMetricsResponse measured;
    metrics.set_job(kId);
    add([&](auto* context) { return stub_->GetMetrics(context, metrics, &measured); });
    v1::StreamLogsRequest logs;
    logs.set_job(kId);
    add([&](auto* context) { return stub_->StreamLogs(context, logs)->Finish(); });
    return answers;
  };
  const auto counts = [&] {
    grpc::ClientContext jobs_context;
    v1::ListJobsResponse jobs;
    EXPECT_TRUE(stub_->ListJobs(&jobs_context, {}, &jobs).ok());
    grpc::ClientContext checkpoints_context;
    v1::ListCheckpointsResponse checkpoints;
    EXPECT_TRUE(stub_->ListCheckpoints(&checkpoints_context, {}, &checkpoints).ok());
    return std::pair(jobs.jobs_size(), checkpoints.checkpoints_size());
  };
  desk_.SetOwner("submitter/ann");
  caller_ = {"submitter/bob", /*sees_all=*/false, "submitter/bob"};
  EXPECT_EQ(codes(), std::vector(6, grpc::StatusCode::NOT_FOUND));
  EXPECT_EQ(counts(), std::pair(0, 0));
  EXPECT_TRUE(desk_.asked().empty());

  for (const JobService::Caller& caller : {JobService::Caller{"submitter/ann", false, "ann"},
                                           JobService::Caller{"viewer/eve", true, "eve"}}) {
    caller_ = caller;
    EXPECT_EQ(codes(), std::vector(6, grpc::StatusCode::OK));
    EXPECT_EQ(counts(), std::pair(1, 1));
  }
}

}  // namespace
}  // namespace drover
