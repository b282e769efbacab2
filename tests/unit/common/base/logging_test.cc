#include "common/base/logging.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace drover {
namespace {

TEST(LoggingTest, LevelsAreParsedByName) {
  EXPECT_EQ(ParseLogLevel("debug").value(), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("info").value(), LogLevel::kInfo);
  EXPECT_EQ(ParseLogLevel("warning").value(), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("error").value(), LogLevel::kError);
}

TEST(LoggingTest, UnknownLevelIsRefusedWithTheKnownOnes) {
  const Result<LogLevel> level = ParseLogLevel("loud");

  EXPECT_EQ(level.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(level.status().message(), "log level \"loud\": expected debug, info, warning or error");
}

TEST(LoggingTest, CountsWhatIsPrintedAndNotWhatIsDropped) {
  InitLogging("test", {.level = LogLevel::kWarning});
  const long infos = LoggedCount(LogLevel::kInfo);
  const long warnings = LoggedCount(LogLevel::kWarning);

  LogInfo("dropped={}", 1);
  LogWarning("printed={}", 2);

  EXPECT_EQ(LoggedCount(LogLevel::kInfo), infos);
  EXPECT_EQ(LoggedCount(LogLevel::kWarning), warnings + 1);
}

TEST(LoggingTest, UnknownFormatIsRefusedWithTheKnownOnes) {
  EXPECT_EQ(ParseLogFormat("text").value(), LogFormat::kText);
  EXPECT_EQ(ParseLogFormat("json").value(), LogFormat::kJson);
  EXPECT_EQ(ParseLogFormat("xml").status().message(), "log format \"xml\": expected text or json");
}

TEST(LoggingTest, JsonLinesNameWhoLogsAndAboutWhat) {
  testing::internal::CaptureStderr();
  InitLogging("worker/w1", {.format = LogFormat::kJson});
  LogWarning({.job = 255, .step = 7}, "late by {} s\n{{", 3);
  LogStart("drover-worker", {{"tls", "on"}});
  std::istringstream lines(testing::internal::GetCapturedStderr());

  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const nlohmann::json late = nlohmann::json::parse(line);
  EXPECT_EQ(late["level"], "warning");
  EXPECT_EQ(late["task"], "worker/w1");
  EXPECT_EQ(late["worker"], "w1");
  EXPECT_EQ(late["job"], "00000000000000ff");
  EXPECT_EQ(late["step"], 7);
  EXPECT_EQ(late["message"], "late by 3 s\n{");
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line)["facts"]["tls"], "on");
  EXPECT_FALSE(std::getline(lines, line));
}

TEST(LoggingTest, TextLinesBeginWithWhatTheyAreAbout) {
  testing::internal::CaptureStderr();
  InitLogging("shard/s1", {});
  LogInfo({.job = 255, .worker = "w1"}, "hello");
  LogStart("drover-shard 1 listens on x:1", {{"tls", "on"}});
  const std::string text = testing::internal::GetCapturedStderr();

  EXPECT_NE(text.find(" I shard/s1 job=00000000000000ff worker=w1 hello\n"), text.npos) << text;
  EXPECT_NE(text.find("drover-shard 1 listens on x:1 tls=on\n"), text.npos) << text;
}

}  // namespace
}  // namespace drover
