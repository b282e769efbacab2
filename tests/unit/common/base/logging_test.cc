#include "common/base/logging.h"

#include <gtest/gtest.h>

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
  InitLogging("test", LogLevel::kWarning);
  const long infos = LoggedCount(LogLevel::kInfo);
  const long warnings = LoggedCount(LogLevel::kWarning);

  LogInfo("dropped={}", 1);
  LogWarning("printed={}", 2);

  EXPECT_EQ(LoggedCount(LogLevel::kInfo), infos);
  EXPECT_EQ(LoggedCount(LogLevel::kWarning), warnings + 1);
}

}  // namespace
}  // namespace drover
