// The supervision of processes, with shell scripts in place of the real programs.

#include "server/cli/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <functional>

#include "common/base/parse.h"
#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

// Runs until it is told to end, and says what it was started with.
constexpr char kWait[] =
    "trap 'echo terminated; exit 0' TERM\necho \"$@\"\n"
    "while :; do sleep 0.05; done\n";
// A coordinator: the port file is its ninth argument.
constexpr char kCoordinator[] =
    "case $2 in *:0) port=41234 ;; *) port=${2##*:} ;; esac\n"
    "echo \"127.0.0.1:$port\" > \"$8.tmp\"\nmv \"$8.tmp\" \"$8\"\n";

class LocalClusterTest : public ::testing::Test {
 protected:
  LocalClusterTest() {
    programs_.WriteProgram("drover-coordinator", std::string(kCoordinator) + kWait);
    programs_.WriteProgram("drover-shard", kWait);
    programs_.WriteProgram("drover-worker", kWait);
  }

  Result<std::unique_ptr<LocalCluster>> Start() {
    LocalClusterOptions options;
    options.program_dir = programs_.path();
    options.state_dir = state_.path();
    options.workers = 2;
    options.shards = 1;
    options.lanes = 3;
    options.notes = [this](const std::string& text) { notes_ += text + "\n"; };
    return LocalCluster::Start(options);
  }

  pid_t PidOf(const std::string& role) const {
    std::string text = state_.Read("run/" + role + ".pid");
    if (text.ends_with('\n')) text.pop_back();
    return static_cast<pid_t>(ParseInt(text).value());
  }

  // Tends until `done`; the test's own time limit ends a hang.
  Status TendUntil(LocalCluster* cluster, const std::function<bool()>& done) {
    while (!done()) {
      DROVER_RETURN_IF_ERROR(cluster->Tend());
      SleepFor(std::chrono::milliseconds(5));
    }
    return Status();
  }

  TempDirectory programs_;
  TempDirectory state_;
  std::string notes_;
};

TEST_F(LocalClusterTest, StartsEveryProcessWithItsFlags) {
  Result<std::unique_ptr<LocalCluster>> cluster = Start();
  ASSERT_TRUE(cluster.ok()) << cluster.status().message();
  EXPECT_EQ(cluster.value()->coordinator_address(), "127.0.0.1:41234");
  const std::string state = state_.path();

  ASSERT_TRUE(TendUntil(cluster.value().get(), [this] {
                return !state_.Read("logs/worker-1.log").empty() &&
                       !state_.Read("logs/shard-0.log").empty() &&
                       !state_.Read("logs/coordinator.log").empty();
              }).ok());
  EXPECT_EQ(state_.Read("logs/coordinator.log"),
            "--listen 127.0.0.1:0 --state-dir " + state + "/coordinator --min-shards 1 " +
                "--port-file " + state +
                "/run/coordinator.port --metrics 127.0.0.1:0 --log-level info\n");
  EXPECT_EQ(state_.Read("logs/shard-0.log"),
            "--coordinator 127.0.0.1:41234 --name shard-0 --listen 127.0.0.1:0 --state-dir " +
                state + "/shard-0 --metrics 127.0.0.1:0 --log-level info\n");
  EXPECT_EQ(state_.Read("logs/worker-1.log"),
            "--coordinator 127.0.0.1:41234 --name worker-1 --lanes 3 --metrics 127.0.0.1:0 "
            "--log-level info\n");
}

TEST_F(LocalClusterTest, StopsEverybodyPolitely) {
  Result<std::unique_ptr<LocalCluster>> cluster = Start();
  ASSERT_TRUE(cluster.ok()) << cluster.status().message();
  const pid_t worker = PidOf("worker-0");
  ASSERT_TRUE(TendUntil(cluster.value().get(), [this] {
                return !state_.Read("logs/worker-0.log").empty();
              }).ok());

  cluster.value()->Stop();

  EXPECT_NE(kill(worker, 0), 0);
  EXPECT_THAT(state_.Read("logs/worker-0.log"), HasSubstr("terminated\n"));
}

TEST_F(LocalClusterTest, WhatDiesIsStartedAgainAndCounted) {
  Result<std::unique_ptr<LocalCluster>> cluster = Start();
  ASSERT_TRUE(cluster.ok()) << cluster.status().message();
  const pid_t worker = PidOf("worker-0");
  const pid_t shard = PidOf("shard-0");
  kill(worker, SIGKILL);
  kill(shard, SIGKILL);

  ASSERT_TRUE(TendUntil(cluster.value().get(), [&] {
                return PidOf("worker-0") != worker && PidOf("shard-0") != shard;
              }).ok());

  EXPECT_EQ(cluster.value()->workers_lost(), 1);
  EXPECT_EQ(cluster.value()->shards_restarted(), 1);
  EXPECT_THAT(notes_,
              HasSubstr("worker-0 died (killed by signal 9 (Killed)), it is started again\n"));
}

TEST_F(LocalClusterTest, TheCoordinatorComesBackOnItsPort) {
  Result<std::unique_ptr<LocalCluster>> cluster = Start();
  ASSERT_TRUE(cluster.ok()) << cluster.status().message();
  const pid_t coordinator = PidOf("coordinator");
  kill(coordinator, SIGKILL);

  ASSERT_TRUE(TendUntil(cluster.value().get(), [this] {
                return state_.Read("logs/coordinator.log").find("--listen 127.0.0.1:41234") !=
                       std::string::npos;
              }).ok());
  EXPECT_NE(PidOf("coordinator"), coordinator);
}

TEST_F(LocalClusterTest, WhatKeepsDyingIsGivenUpWithItsLastWords) {
  programs_.WriteProgram("drover-worker", "echo out of luck\nexit 1\n");
  Result<std::unique_ptr<LocalCluster>> cluster = Start();
  ASSERT_TRUE(cluster.ok()) << cluster.status().message();

  const Status status = TendUntil(cluster.value().get(), [] { return false; });

  EXPECT_THAT(status.message(), HasSubstr(" keeps dying (exit code 1); the end of "));
  EXPECT_THAT(status.message(), HasSubstr("\n  out of luck"));
  EXPECT_EQ(cluster.value()->Tend().message(), status.message());  // It sticks.
}

TEST_F(LocalClusterTest, ABadConfigurationIsNotTriedAgain) {
  programs_.WriteProgram("drover-shard", "echo bad flag\nexit 78\n");
  Result<std::unique_ptr<LocalCluster>> cluster = Start();
  ASSERT_TRUE(cluster.ok()) << cluster.status().message();

  const Status status = TendUntil(cluster.value().get(), [] { return false; });

  EXPECT_THAT(status.message(), HasSubstr("shard-0 refuses its configuration; the end of "));
  EXPECT_EQ(cluster.value()->shards_restarted(), 0);
}

TEST_F(LocalClusterTest, ACoordinatorThatDiesAtOnceFailsTheStart) {
  programs_.WriteProgram("drover-coordinator", "echo no disk\nexit 1\n");

  const Result<std::unique_ptr<LocalCluster>> cluster = Start();

  ASSERT_FALSE(cluster.ok());
  EXPECT_THAT(cluster.status().message(), HasSubstr("\n  no disk"));
}

TEST_F(LocalClusterTest, TwoClustersDoNotShareADirectory) {
  Result<std::unique_ptr<LocalCluster>> first = Start();
  ASSERT_TRUE(first.ok()) << first.status().message();

  const Result<std::unique_ptr<LocalCluster>> second = Start();

  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(), HasSubstr("another \"drover run\" uses"));
}

TEST_F(LocalClusterTest, AnInterruptEndsTheStart) {
  programs_.WriteProgram("drover-coordinator", kWait);  // Never listens.
  LocalClusterOptions options;
  options.program_dir = programs_.path();
  options.state_dir = state_.path();
  options.interrupted = [] { return true; };

  EXPECT_EQ(LocalCluster::Start(options).status().code(), Code::kCancelled);
}

}  // namespace
}  // namespace drover
