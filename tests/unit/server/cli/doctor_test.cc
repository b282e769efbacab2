#include "server/cli/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace drover {
namespace {

using ::testing::HasSubstr;

TEST(DoctorTest, PrintsTableAndJson) {
  const std::vector<Finding> findings = {{"cores", Health::kOk, "2 usable", ""},
                                         {"disk", Health::kFail, "none", "buy one"}};

  EXPECT_EQ(FormatFindings(findings, false),
            "ok    cores            2 usable\n"
            "fail  disk             none\n"
            "                       hint: buy one\n");
  EXPECT_EQ(nlohmann::json::parse(FindingsToJson(findings))[1]["verdict"], "fail");
}

class DoctorCommandTest : public testing::Test {
 protected:
  // What it printed, as JSON.
  nlohmann::json Examine(int exit_code) {
    GlobalOptions global;
    global.server = "127.0.0.1:1";  // Nobody may listen there.
    global.output = "json";
    testing::internal::CaptureStdout();
    EXPECT_EQ(DoctorCommand(global, options_), exit_code);
    return nlohmann::json::parse(testing::internal::GetCapturedStdout());
  }
  static std::string FoundBy(const nlohmann::json& findings, const std::string& check) {
    for (const nlohmann::json& finding : findings) {
      if (finding["subject"] == check) {
        return std::string(finding["verdict"]) + ": " + std::string(finding["found"]);
      }
    }
    return "nothing";
  }

  DoctorOptions options_;
};

TEST_F(DoctorCommandTest, AMissingDirectoryFails) {
  options_.state_dir = "/nonexistent";
  EXPECT_THAT(FoundBy(Examine(1), "state"), HasSubstr("fail: /nonexistent"));
}

TEST_F(DoctorCommandTest, ACoordinatorThatWasAskedForMustBeThere) {
  options_.server_given = true;
  EXPECT_EQ(FoundBy(Examine(1), "coordinator"), "fail: nobody listens on 127.0.0.1:1");
}

TEST_F(DoctorCommandTest, FilesThatCannotBeReadAreNamed) {
  options_.tls.authority = "/nonexistent/ca.crt";
  options_.token_file = "/nonexistent/token";
  options_.can_call = false;
  const nlohmann::json findings = Examine(1);
  EXPECT_THAT(FoundBy(findings, "TLS files"), HasSubstr("/nonexistent/ca.crt"));
  EXPECT_THAT(FoundBy(findings, "token"), HasSubstr("/nonexistent/token"));
}

TEST_F(DoctorCommandTest, AJobIsExaminedToo) {
  options_.job_file = DROVER_SOURCE_DIR "/docs/examples/quickstart.yaml";
  const nlohmann::json findings = Examine(0);
  EXPECT_THAT(FoundBy(findings, "worker memory"), HasSubstr("micro_batch 512"));
  options_.job_file = "/nonexistent.yaml";
  EXPECT_THAT(FoundBy(Examine(1), "job file"), HasSubstr("/nonexistent.yaml"));
}

// No worker lies beside this test.
TEST_F(DoctorCommandTest, WithoutAWorkerNobodyKnowsAboutGpus) {
  options_.job_file = DROVER_SOURCE_DIR "/docs/examples/quickstart.yaml";
  options_.gpu_memory_bytes = int64_t{1} << 30;
  EXPECT_EQ(FoundBy(Examine(0), "GPU memory"), "warn: cannot be told");
}

}  // namespace
}  // namespace drover
