#include "server/cli/job_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/support/fake_job_service.h"
#include "tests/unit/server/cli/sample_job.h"
#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Outcome {
  int exit_code;
  std::string out;
  std::string err;
};

Outcome Capture(const std::function<int()>& command) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int exit_code = command();
  return {exit_code, testing::internal::GetCapturedStdout(),
          testing::internal::GetCapturedStderr()};
}

class JobCommandsTest : public ::testing::Test {
 protected:
  JobCommandsTest() {
    service_.SetJob(SampleJob());
    global_.server = service_.address();
  }

  static v1::JobEvent Log(int64_t sequence, const std::string& task, const std::string& text) {
    v1::JobEvent event;
    event.set_sequence(sequence);
    event.set_time_unix_ms(1'000'000'000'000);
    event.mutable_log()->set_level("info");
    event.mutable_log()->set_task(task);
    event.mutable_log()->set_text(text);
    return event;
  }

  FakeJobService service_;
  GlobalOptions global_;
};

TEST_F(JobCommandsTest, SubmitPrintsTheIdAndWhatToDoNext) {
  SubmitOptions options;
  options.job_file = DROVER_SOURCE_DIR "/docs/examples/quickstart.yaml";
  options.request_id = "mine";

  const Outcome outcome = Capture([&] { return SubmitCommand(global_, options); });

  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "00000000000000a7\n");
  EXPECT_THAT(outcome.err, HasSubstr("next: drover watch 00000000000000a7"));
  EXPECT_THAT(service_.request_ids(), ElementsAre("mine"));
}

TEST_F(JobCommandsTest, EverySubmitIsARequestOfItsOwn) {
  SubmitOptions options;
  options.job_file = DROVER_SOURCE_DIR "/docs/examples/quickstart.yaml";
  Capture([&] { return SubmitCommand(global_, options) + SubmitCommand(global_, options); });

  const std::vector<std::string> ids = service_.request_ids();
  ASSERT_EQ(ids.size(), 2U);
  EXPECT_NE(ids[0], ids[1]);
}

TEST_F(JobCommandsTest, DryRunPrintsAJobFile) {
  SubmitOptions options;
  options.job_file = DROVER_SOURCE_DIR "/docs/examples/quickstart.yaml";
  options.overrides = {"steps=50"};
  options.dry_run = true;

  const Outcome outcome = Capture([&] { return SubmitCommand(global_, options); });

  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("\nsteps: 50\n"));
}

TEST_F(JobCommandsTest, ABadJobFileIsAUsageError) {
  SubmitOptions options;
  options.job_file = "/nonexistent.yaml";
  EXPECT_EQ(Capture([&] { return SubmitCommand(global_, options); }).exit_code, 2);
}

TEST_F(JobCommandsTest, GetListsOrShowsOneJob) {
  const Outcome all = Capture([&] { return GetCommand(global_, {"jobs"}); });
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_THAT(all.out, HasSubstr("digits-lamb"));
  EXPECT_EQ(Capture([&] { return GetCommand(global_, {}); }).out, all.out);
  EXPECT_EQ(Capture([&] { return GetCommand(global_, {"digits-lamb"}); }).out, all.out);

  global_.output = "json";
  const Outcome one = Capture([&] { return GetCommand(global_, {"job", "digits-lamb"}); });
  EXPECT_EQ(nlohmann::json::parse(one.out)["id"], "00000000000000a7");
  const Outcome checkpoints = Capture([&] { return GetCommand(global_, {"checkpoints"}); });
  EXPECT_EQ(nlohmann::json::parse(checkpoints.out)["checkpoints"][0]["id"], "00000000000000a7-50");
}

TEST_F(JobCommandsTest, MetricsComeInPagesAndFourForms) {
  v1::GetMetricsResponse metrics;
  for (int step = 0; step < 5; ++step) *metrics.add_steps() = SampleStep(step, 0.5).step();
  metrics.add_evaluations()->set_version(1);
  service_.SetMetrics(metrics, /*page_steps=*/2);
  const auto get = [this](const std::string& form, const std::string& output_dir = "") {
    global_.output = form;
    return Capture([&] { return GetCommand(global_, {"metrics", "digits-lamb"}, output_dir); });
  };
  const auto count = [](const std::string& text, const std::string& what) {
    size_t found = 0;
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
    return found;
  };

  EXPECT_THAT(get("table").out, HasSubstr("EVAL-LOSS"));
  EXPECT_EQ(count(get("csv").out, "\n"), 6U);  // One line of names.
  EXPECT_EQ(count(get("jsonl").out, "\n"), 5U);
  EXPECT_EQ(nlohmann::json::parse(get("json").out)["steps"].size(), 5U);
  const TempDirectory folder;
  const Outcome board = get("tensorboard", folder.path());
  EXPECT_EQ(board.exit_code, 0) << board.err;
  const std::string path = board.out.substr(0, board.out.find('\n'));
  EXPECT_THAT(path, HasSubstr("/digits-lamb-00000000000000a7/events.out.tfevents."));
  EXPECT_GT(std::filesystem::file_size(path), 1000U);
}

TEST_F(JobCommandsTest, MetricsSayWhichFormIsMeant) {
  global_.output = "tensorboard";
  EXPECT_THAT(Capture([&] {
                return GetCommand(global_, {"metrics", "a"});
              }).err,
              HasSubstr("--output-dir DIR"));
  EXPECT_EQ(Capture([&] { return GetCommand(global_, {"jobs"}); }).exit_code, 2);
  EXPECT_EQ(Capture([&] { return GetCommand(global_, {"metrics"}); }).exit_code, 2);
  global_.output = "csv";
  EXPECT_EQ(Capture([&] { return GetCommand(global_, {"metrics", "a"}, "/tmp"); }).exit_code, 2);
  EXPECT_EQ(Capture([&] { return GetCommand(global_, {"metrics", "nothing"}); }).exit_code, 3);
}

TEST_F(JobCommandsTest, ErrorsHaveExitCodesAndHints) {
  const Outcome missing = Capture([&] { return GetCommand(global_, {"job", "nothing"}); });
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, HasSubstr("error: no job nothing\nhint: "));

  const Outcome kind = Capture([&] { return GetCommand(global_, {"jbos", "a"}); });
  EXPECT_EQ(kind.exit_code, 2);
  EXPECT_THAT(kind.err, HasSubstr("unknown kind \"jbos\"; did you mean \"jobs\"?"));
  EXPECT_EQ(Capture([&] { return DescribeCommand(global_, {"job"}); }).exit_code, 2);

  service_.Stop();
  const Outcome gone = Capture([&] { return GetCommand(global_, {"jobs"}); });
  EXPECT_EQ(gone.exit_code, 4);
  EXPECT_THAT(gone.err, HasSubstr("no coordinator at 127.0.0.1:"));
}

TEST_F(JobCommandsTest, DescribeShowsTheSpec) {
  const Outcome outcome = Capture([&] { return DescribeCommand(global_, {"job", "digits-lamb"}); });
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("\nbatch: 32768\n"));
}

TEST_F(JobCommandsTest, VerbsAnswerWithTheState) {
  for (const JobVerbName verb :
       {JobVerbName::kCancel, JobVerbName::kSuspend, JobVerbName::kResume}) {
    const Outcome outcome = Capture([&] { return VerbCommand(global_, verb, "digits-lamb"); });
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.out, "00000000000000a7 RUNNING\n");
    EXPECT_EQ(Capture([&] { return VerbCommand(global_, verb, "nothing"); }).exit_code, 3);
  }
  EXPECT_EQ(Capture([&] { return DeleteCommand(global_, "digits-lamb"); }).out,
            "deleted digits-lamb\n");
}

TEST_F(JobCommandsTest, WatchEndsWithTheJobsResult) {
  v1::JobEvent last;
  last.set_sequence(1);
  last.set_state(v1::JOB_STATE_FAILED);
  service_.AddStream({last}, grpc::Status::OK);

  const Outcome outcome = Capture([&] { return WatchCommand(global_, "digits-lamb"); });

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("FAILED  digits-lamb"));
}

TEST_F(JobCommandsTest, LogsAreFilteredAndCut) {
  const std::vector<v1::JobEvent> events = {Log(1, "coordinator", "a"), Log(2, "worker/w", "b"),
                                            Log(3, "worker/w", "c\x1b[2J"),
                                            Log(4, "worker/w", "d")};
  LogsOptions options;
  options.job = "digits-lamb";
  options.task = "worker/w";
  options.tail = 2;
  service_.AddStream(events, grpc::Status::OK);

  const Outcome outcome = Capture([&] { return LogsCommand(global_, options); });

  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out,
            "2001-09-09 01:46:40 UTC info    worker/w  c?[2J\n"
            "2001-09-09 01:46:40 UTC info    worker/w  d\n");
}

}  // namespace
}  // namespace drover
