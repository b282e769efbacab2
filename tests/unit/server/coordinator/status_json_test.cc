#include "server/coordinator/status_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kId[] = "00000000000000ab";

StatusJob Digits(const std::string& state) {
  StatusJob job;
  job.id = kId;
  job.name = "digits";
  job.state = state;
  job.step = 30;
  job.steps = 40;
  job.checkpoint_version = 20;
  return job;
}

// A cluster that is whole, with one job in this state.
StatusFacts With(const std::string& state) {
  StatusFacts facts;
  facts.shards_min = 2;
  facts.shards_total = 2;
  facts.workers_total = 1;
  facts.jobs = {Digits(state)};
  facts.jobs_total = 1;
  facts.selected = kId;
  return facts;
}

std::string First(const StatusFacts& facts) { return NextCommands(facts).at(0).command; }

TEST(NextCommandsTest, EveryStateOfAJobHasItsOwn) {
  EXPECT_EQ(First(With("RUNNING")), "drover watch digits");
  EXPECT_EQ(First(With("QUEUED")), "drover watch digits");
  EXPECT_EQ(First(With("RECOVERING")), "drover watch digits");
  EXPECT_EQ(First(With("SUSPENDED")), "drover resume digits");
  EXPECT_EQ(First(With("FAILED")), "drover logs digits");
  EXPECT_EQ(First(With("CANCELLED")), "drover describe digits");
  EXPECT_EQ(First(With("SUCCEEDED")),
            "drover checkpoint export 00000000000000ab-20 --out digits.safetensors");
}

TEST(NextCommandsTest, AJobWithoutCheckpointHasNothingToExport) {
  StatusFacts facts = With("SUCCEEDED");
  facts.jobs[0].checkpoint_version = -1;

  EXPECT_EQ(First(facts), "drover describe digits");
}

TEST(NextCommandsTest, AnOlderJobOfTheSameNameIsCalledByItsId) {
  StatusFacts facts = With("SUSPENDED");
  facts.jobs[0].is_newest_of_name = false;

  EXPECT_EQ(First(facts), "drover resume 00000000000000ab");
}

TEST(NextCommandsTest, ACoordinatorElsewhereIsNamed) {
  StatusFacts facts = With("RUNNING");
  facts.server = "10.0.0.7:50050";

  EXPECT_EQ(First(facts), "drover --server 10.0.0.7:50050 watch digits");
}

TEST(NextCommandsTest, AJobThatWaitsForProcessesNeedsTheseFirst) {
  StatusFacts facts = With("STARTING");
  facts.shards_total = 1;
  facts.workers_total = 0;

  const std::vector<NextCommand> commands = NextCommands(facts);

  ASSERT_GE(commands.size(), 3u);
  EXPECT_THAT(commands[0].command, StartsWith("drover-shard --coordinator 127.0.0.1:50050"));
  EXPECT_EQ(commands[0].why, "1 of 2 shards are there");
  EXPECT_EQ(commands[1].command, "drover-worker --coordinator 127.0.0.1:50050");
  EXPECT_EQ(commands[2].command, "drover watch digits");
}

TEST(NextCommandsTest, AnEndedJobNeedsNoProcesses) {
  StatusFacts facts = With("FAILED");
  facts.shards_total = 0;
  facts.workers_total = 0;

  EXPECT_EQ(First(facts), "drover logs digits");
}

TEST(NextCommandsTest, WithoutJobsThereIsAWayToTheFirst) {
  StatusFacts facts = With("RUNNING");
  facts.jobs.clear();
  facts.selected.clear();
  EXPECT_EQ(First(facts), "drover submit docs/examples/quickstart.yaml");

  facts.shards_total = 0;
  facts.workers_total = 0;
  const std::vector<NextCommand> commands = NextCommands(facts);
  ASSERT_EQ(commands.size(), 3u);
  EXPECT_THAT(commands[0].command, StartsWith("drover-shard "));
  EXPECT_THAT(commands[1].command, StartsWith("drover-worker "));
  EXPECT_THAT(commands[2].command, StartsWith("drover submit "));
}

TEST(ServerForUsersTest, OnlyAnotherAddressThanTheDefaultIsNeeded) {
  EXPECT_EQ(ServerForUsers("127.0.0.1:50050"), "");
  EXPECT_EQ(ServerForUsers("localhost:50050"), "");
  EXPECT_EQ(ServerForUsers("127.0.0.1:7000"), "127.0.0.1:7000");
  EXPECT_EQ(ServerForUsers("0.0.0.0:50050"), "HOST:50050");
  EXPECT_EQ(ServerForUsers("[::]:7000"), "HOST:7000");
}

TEST(StatusJsonTest, HoldsEveryFact) {
  StatusFacts facts = With("RUNNING");
  facts.version = "1.2.3";
  facts.jobs[0].loss = 0.25;
  facts.jobs[0].step_seconds = 2;
  facts.jobs[0].samples_per_second = 32;
  facts.workers = {{"w0", "active", "", "cpu onednn", 4, kId, 1, -0.5, 100}};
  facts.shards = {{"s0", "127.0.0.1:7", {{kId, 2, 5, 4096}}}};
  facts.steps = {{0, 2.5, 0.1, 0.01, 3, 64, 0.5, 1, 2, 9},
                 {10, 1.5, 0.4, 0.02, 2, 65, 0.25, 1, 4, 8}};
  facts.evals = {{10, 1.25, 0.5}};
  facts.lines = {{7, "warning", "worker/w0", "late"}};

  const nlohmann::json json = nlohmann::json::parse(StatusToJson(facts));

  EXPECT_EQ(json["version"], "1.2.3");
  EXPECT_EQ(json["selected"], kId);
  const nlohmann::json& job = json["jobs"][0];
  EXPECT_EQ(job["name"], "digits");
  EXPECT_EQ(job["step"], 30);
  EXPECT_EQ(job["loss"], 0.25);
  EXPECT_EQ(job["eta_seconds"], 20);  // 10 steps of 2 s.
  EXPECT_TRUE(job["eval_loss"].is_null());
  EXPECT_EQ(json["workers"][0]["lag_steps"], 1);
  EXPECT_EQ(json["workers"][0]["lateness_seconds"], -0.5);
  EXPECT_EQ(json["shards"][0]["parts"][0]["bytes"], 4096);
  EXPECT_EQ(json["steps"]["step"], nlohmann::json::array({0, 10}));
  EXPECT_EQ(json["steps"]["ratio_max"], nlohmann::json::array({2.0, 4.0}));
  EXPECT_EQ(json["evals"]["accuracy"], nlohmann::json::array({0.5}));
  EXPECT_EQ(json["lines"][0]["task"], "worker/w0");
  EXPECT_EQ(json["next"][0]["command"], "drover watch digits");
}

TEST(StatusJsonTest, EmptyListsAreThere) {
  const nlohmann::json json = nlohmann::json::parse(StatusToJson(StatusFacts()));

  for (const char* list : {"jobs", "workers", "shards", "lines"}) {
    EXPECT_EQ(json[list], nlohmann::json::array()) << list;
  }
  EXPECT_EQ(json["steps"]["loss"], nlohmann::json::array());
  EXPECT_FALSE(json["next"].empty());
}

TEST(StatusJsonTest, NumbersThatAreNoneBecomeNull) {
  StatusFacts facts = With("RUNNING");
  facts.jobs[0].loss = std::numeric_limits<double>::quiet_NaN();
  facts.steps.resize(1);
  facts.steps[0].gradient_norm = std::numeric_limits<double>::infinity();

  const nlohmann::json json = nlohmann::json::parse(StatusToJson(facts));

  EXPECT_TRUE(json["jobs"][0]["loss"].is_null());
  EXPECT_TRUE(json["steps"]["gradient_norm"][0].is_null());
}

TEST(StatusJsonTest, AnyBytesMayStandInATextFromOutside) {
  StatusFacts facts = With("FAILED");
  facts.jobs[0].message = "bad \xff byte, \"quote\", \n line, <img src=x onerror=alert(1)>";

  const std::string text = StatusToJson(facts);

  const nlohmann::json json = nlohmann::json::parse(text);
  EXPECT_THAT(json["jobs"][0]["message"].get<std::string>(),
              HasSubstr("bad \xef\xbf\xbd byte, \"quote\", \n line"));
}

}  // namespace
}  // namespace drover
