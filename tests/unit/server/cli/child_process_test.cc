#include "server/cli/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "common/base/clock.h"
#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

// Polls until the child has ended; the test's own time limit ends a hang.
int AwaitExit(ChildProcess* child) {
  while (true) {
    const std::optional<int> exit = child->Poll();
    if (exit.has_value()) return *exit;
    SleepFor(std::chrono::milliseconds(1));
  }
}

TEST(ChildProcessTest, WritesItsOutputToTheLog) {
  TempDirectory directory;
  Result<ChildProcess> child = ChildProcess::Start(
      {"/bin/sh", "-c", "echo out; echo err >&2; cat; exit 3"}, directory.File("log"));
  ASSERT_TRUE(child.ok()) << child.status().message();

  const int exit = AwaitExit(&child.value());

  EXPECT_TRUE(ExitedWith(exit, 3));
  EXPECT_EQ(DescribeExit(exit), "exit code 3");
  EXPECT_EQ(directory.Read("log"), "out\nerr\n");
  EXPECT_FALSE(child.value().running());
}

TEST(ChildProcessTest, AppendsToALogThatIsThere) {
  TempDirectory directory;
  directory.Write("log", "first life\n");
  Result<ChildProcess> child = ChildProcess::Start({"/bin/echo", "second"}, directory.File("log"));
  ASSERT_TRUE(child.ok());

  AwaitExit(&child.value());

  EXPECT_EQ(directory.Read("log"), "first life\nsecond\n");
}

TEST(ChildProcessTest, ASignalIsNamed) {
  TempDirectory directory;
  Result<ChildProcess> child = ChildProcess::Start({"/bin/sleep", "1000"}, directory.File("log"));
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child.value().Poll(), std::nullopt);

  child.value().Signal(SIGKILL);

  EXPECT_EQ(DescribeExit(AwaitExit(&child.value())), "killed by signal 9 (Killed)");
}

TEST(ChildProcessTest, IsKilledWithItsObject) {
  TempDirectory directory;
  pid_t pid = 0;
  {
    Result<ChildProcess> child = ChildProcess::Start({"/bin/sleep", "1000"}, directory.File("log"));
    ASSERT_TRUE(child.ok());
    pid = child.value().pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(ChildProcessTest, AMissingProgramIsAnErrorOfStart) {
  TempDirectory directory;
  const Result<ChildProcess> child =
      ChildProcess::Start({"/nonexistent/program"}, directory.File("log"));
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.status().code(), Code::kNotFound);
  EXPECT_EQ(child.status().message(), "starting /nonexistent/program: No such file or directory");
}

TEST(ChildProcessTest, ALogThatCannotBeWrittenIsAnErrorOfStart) {
  const Result<ChildProcess> child = ChildProcess::Start({"/bin/true"}, "/nonexistent/log");
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.status().message(), "opening /nonexistent/log: No such file or directory");
}

}  // namespace
}  // namespace drover
