#include "server/cli/watch_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_job_service.h"
#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

class WatchJobTest : public ::testing::Test {
 protected:
  WatchJobTest() : client_(service_.address()), out_(std::tmpfile()) {
    service_.SetJob(SampleJob());
  }
  ~WatchJobTest() override { std::fclose(out_); }

  WatchOutcome Watch(const WatchOptions& options) {
    LiveOutput output(out_, /*terminal=*/false, /*color=*/false);
    return WatchJob(&client_, SampleJob(), options, &output);
  }

  std::string Printed() {
    std::string text;
    std::rewind(out_);
    for (int c = std::fgetc(out_); c != EOF; c = std::fgetc(out_)) text += static_cast<char>(c);
    return text;
  }

  static v1::JobEvent StateEvent(int64_t sequence, v1::JobState state) {
    v1::JobEvent event;
    event.set_sequence(sequence);
    event.set_state(state);
    return event;
  }

  FakeJobService service_;
  JobClient client_;
  std::FILE* const out_;
};

TEST_F(WatchJobTest, EndsWithTheJob) {
  v1::JobEvent last = StateEvent(3, v1::JOB_STATE_SUCCEEDED);
  *last.mutable_job() = EndedJob();
  service_.AddStream({SampleStep(0, 1), SampleStep(1, 1), last}, grpc::Status::OK);
  service_.SetJob(EndedJob());

  const WatchOutcome outcome = Watch({});

  EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_FALSE(outcome.interrupted);
  EXPECT_EQ(outcome.job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(outcome.job.last_eval().accuracy(), 0.9731);
}

TEST_F(WatchJobTest, GoesOnWhenTheServerEndsTheCallBeforeTheJob) {
  service_.AddStream({SampleStep(0, 1)}, grpc::Status::OK);
  service_.AddStream({SampleStep(1, 1), StateEvent(3, v1::JOB_STATE_FAILED)}, grpc::Status::OK);

  const WatchOutcome outcome = Watch({});

  EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_EQ(outcome.job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(service_.after_sequences(), testing::ElementsAre(0, 1));
}

TEST_F(WatchJobTest, WhatHappenedLongAgoIsNoNews) {
  v1::JobEvent old_state = StateEvent(1, v1::JOB_STATE_RECOVERING);
  old_state.set_time_unix_ms(999);
  v1::JobEvent new_state = StateEvent(2, v1::JOB_STATE_SUCCEEDED);
  new_state.set_time_unix_ms(1000);
  service_.AddStream({old_state, new_state}, grpc::Status::OK);
  WatchOptions options;
  options.news_since_unix_ms = 1000;

  Watch(options);

  const std::string text = Printed();
  EXPECT_THAT(text, testing::HasSubstr("event=state state=SUCCEEDED"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("event=state state=RECOVERING")));
}

TEST_F(WatchJobTest, AFailedClusterEndsTheWatch) {
  service_.AddStream({SampleStep(0, 1)}, grpc::Status(grpc::UNAVAILABLE, "gone"));
  WatchOptions options;
  options.tend = [] { return Status(Code::kAborted, "shard-0 keeps dying"); };

  EXPECT_EQ(Watch(options).status.message(), "shard-0 keeps dying");
}

TEST_F(WatchJobTest, AServerThatStaysAwayEndsTheWatch) {
  service_.AddStream({SampleStep(0, 1)}, grpc::Status(grpc::UNAVAILABLE, "gone"));
  WatchOptions options;
  options.patience = std::chrono::milliseconds(100);

  EXPECT_EQ(Watch(options).status.code(), Code::kUnavailable);
}

TEST_F(WatchJobTest, APauseOfThePastDoesNotEndTheWatch) {
  service_.AddStream({StateEvent(1, v1::JOB_STATE_SUSPENDED), StateEvent(2, v1::JOB_STATE_RUNNING),
                      StateEvent(3, v1::JOB_STATE_SUCCEEDED)},
                     grpc::Status::OK);
  WatchOptions options;
  options.stop_when_suspended = true;

  EXPECT_EQ(Watch(options).job.state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(WatchJobTest, APauseNowEndsTheWatchOfWhoMustNotWait) {
  service_.AddStream({StateEvent(1, v1::JOB_STATE_SUSPENDED)},
                     grpc::Status(grpc::UNAVAILABLE, "gone"));
  v1::Job paused = SampleJob();
  paused.set_state(v1::JOB_STATE_SUSPENDED);
  service_.SetJob(paused);
  WatchOptions options;
  options.stop_when_suspended = true;

  const WatchOutcome outcome = Watch(options);

  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.job.state(), v1::JOB_STATE_SUSPENDED);
}

}  // namespace
}  // namespace drover
