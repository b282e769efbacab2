#include "server/cli/optimizer_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "server/optim/rule.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

// Small, so the figures mean nothing; that they are there and consistent is what is tested.
OptimizerBenchOptions Small() {
  return {.parameters = 200'001, .repetitions = 1, .thread_counts = {1, 2}};
}

TEST(OptimizerBenchTest, ReportsEachRuleBesideCopyAndTriad) {
  const Result<std::vector<OptimizerBenchRow>> rows = BenchOptimizers(Small());

  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  ASSERT_EQ(rows.value().size(),
            2 * (kRules.size() + 2));  // With copy and triad, on 1 and 2 threads.
  // Reads and writes by hand: w, g and each slot read; w and each slot written; LAMB reads twice,
  // LARS w and g.
  const std::map<std::string, int> bytes = {{"copy", 8},
                                            {"triad", 12},
                                            {"sgd", 12},
                                            {"momentum", 20},
                                            {"momentum_classic", 20},
                                            {"nag", 20},
                                            {"nag_classic", 20},
                                            {"adagrad", 20},
                                            {"rmsprop", 20},
                                            {"rmsprop_momentum", 28},
                                            {"rmsprop_centered", 28},
                                            {"rmsprop_centered_momentum", 36},
                                            {"adam", 28},
                                            {"adamw", 28},
                                            {"amsgrad", 36},
                                            {"amsgradw", 36},
                                            {"radam", 28},
                                            {"nadam", 28},
                                            {"lion", 20},
                                            {"adabound", 28},
                                            {"lamb", 44},
                                            {"lars", 28}};
  for (const OptimizerBenchRow& row : rows.value()) {
    EXPECT_EQ(row.bytes_per_parameter, bytes.at(row.name));
    EXPECT_GT(row.ns_per_parameter, 0.0);
    EXPECT_DOUBLE_EQ(row.gb_per_second, row.bytes_per_parameter / row.ns_per_parameter);
    EXPECT_TRUE(std::isfinite(row.ratio));
    if (row.name == "triad") {
      EXPECT_EQ(row.ratio, 1.0);
    }
  }
}

TEST(OptimizerBenchTest, JsonAndTableHoldTheRows) {
  const std::vector<OptimizerBenchRow> rows = {{"adamw", 2, 28, 0.5, 56.0, 0.875}};

  const nlohmann::json json = nlohmann::json::parse(BenchToJson(Small(), rows));

  EXPECT_EQ(json["parameters"], 200'001);
  EXPECT_EQ(json["rows"][0]["name"], "adamw");
  EXPECT_EQ(json["rows"][0]["threads"], 2);
  EXPECT_EQ(json["rows"][0]["gb_per_second"], 56.0);
  EXPECT_EQ(json["rows"][0]["ratio"], 0.875);
  EXPECT_THAT(BenchToTable(rows), HasSubstr("adamw            2        28     0.500    56.0"));
}

TEST(OptimizerBenchTest, RefusesSizesThatMakeNoSense) {
  for (const int64_t parameters : {int64_t{0}, int64_t{-1}, INT64_MAX}) {
    OptimizerBenchOptions options = Small();
    options.parameters = parameters;
    EXPECT_EQ(BenchOptimizers(options).status().code(), Code::kInvalidArgument);
  }
  OptimizerBenchOptions options = Small();
  options.repetitions = 0;
  EXPECT_EQ(BenchOptimizers(options).status().code(), Code::kInvalidArgument);
  options = Small();
  options.thread_counts = {0};
  EXPECT_EQ(BenchOptimizers(options).status().code(), Code::kInvalidArgument);
}

TEST(OptimizerBenchTest, RefusesMoreThanTheMachineHolds) {
  OptimizerBenchOptions options = Small();
  options.parameters = int64_t{1} << 36;  // 1.3 TiB.

  const Status status = BenchOptimizers(options).status();

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("MiB"));
}

}  // namespace
}  // namespace drover
