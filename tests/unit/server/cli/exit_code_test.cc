#include "server/cli/exit_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover {
namespace {

using ::testing::HasSubstr;

TEST(ExitCodeTest, FollowsTheKindOfFailure) {
  EXPECT_EQ(ExitCodeOf(Status()), 0);
  EXPECT_EQ(ExitCodeOf(Status(Code::kInternal, "")), 1);
  EXPECT_EQ(ExitCodeOf(Status(Code::kFailedPrecondition, "")), 1);
  EXPECT_EQ(ExitCodeOf(Status(Code::kInvalidArgument, "")), 2);
  EXPECT_EQ(ExitCodeOf(Status(Code::kNotFound, "")), 3);
  EXPECT_EQ(ExitCodeOf(Status(Code::kUnavailable, "")), 4);
  EXPECT_EQ(ExitCodeOf(Status(Code::kDeadlineExceeded, "")), 5);
}

std::string ReportOf(const Status& status, const std::string& server) {
  testing::internal::CaptureStderr();
  ReportCallError(status, server);
  return testing::internal::GetCapturedStderr();
}

TEST(ReportErrorTest, GivesEachLineItsPrefix) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(ReportError(Status(Code::kInvalidArgument, "a\nb"), "try c"), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: a\nerror: b\nhint: try c\n");
}

TEST(ReportCallErrorTest, SaysWhatToDoNext) {
  EXPECT_EQ(ReportOf(Status(Code::kUnavailable, "connection refused"), "127.0.0.1:50050"),
            "error: no coordinator at 127.0.0.1:50050\n"
            "hint: start one with \"drover run JOB.yaml\" or pass --server HOST:PORT\n");
  EXPECT_THAT(ReportOf(Status(Code::kUnavailable, "x"), "far.example:50050"),
              HasSubstr("no way to the coordinator at far.example:50050"));
  EXPECT_THAT(ReportOf(Status(Code::kInvalidArgument, "Invalid credentials."), "10.0.0.1:50050"),
              HasSubstr("give --tls-ca"));
  EXPECT_THAT(ReportOf(Status(Code::kUnavailable, "Socket closed"), "127.0.0.1:1"),
              HasSubstr("no way to the coordinator at 127.0.0.1:1: Socket closed"));
  EXPECT_THAT(ReportOf(Status(Code::kUnauthenticated, "nobody's token"), "127.0.0.1:1"),
              HasSubstr("error: nobody's token"));
  EXPECT_THAT(ReportOf(Status(Code::kDeadlineExceeded, "x"), "127.0.0.1:1"),
              HasSubstr("--timeout"));
  EXPECT_THAT(ReportOf(Status(Code::kNotFound, "no job a"), "127.0.0.1:1"),
              HasSubstr("error: no job a\nhint: \"drover get jobs\""));
}

}  // namespace
}  // namespace drover
