#include "server/cli/optimizer_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "common/base/cpu_features.h"
#include "server/cli/optimizer_known_answers.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string KnownAnswersFile() {
  std::ifstream file(DROVER_GOLDEN_DIR "/optimizer_known_answers.json");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// One update of one weight by plain gradient descent: 2 - 0.5 * 3 = 0.5.
Json SmallFile() {
  return Json::parse(R"({
    "format": "drover-optimizer-known-answers-1",
    "cases": [{
      "name": "small", "rule": "sgd",
      "settings": {"momentum": 0.0, "weight_decay": 0.0, "nesterov": false},
      "learning_rates": [0.5],
      "tensors": [{"name": "w", "initial": [2.0], "weight_decay": true}],
      "gradients": [{"w": [3.0]}],
      "expect": {"1": {"w": [0.5]}}
    }]
  })");
}

CheckReport Check(const Json& file, const CheckOptions& options = {}) {
  Result<CheckReport> report = CheckOptimizers(file.dump(), options);
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? report.value() : CheckReport();
}

TEST(OptimizerCheckTest, AllRulesGiveTheKnownAnswersOnEveryInstructionSet) {
  const Result<CheckReport> report = CheckOptimizers(KnownAnswersFile());

  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_TRUE(report.value().ok()) << FormatReport(report.value());
  EXPECT_EQ(report.value().passed(), 56);
}

TEST(OptimizerCheckTest, AFilterTakesTheCasesOfOneRule) {
  const Result<CheckReport> report = CheckOptimizers(KnownAnswersFile(), {.rule = "adamw"});

  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report.value().cases.size(), 1u);
  EXPECT_EQ(report.value().cases[0].rule, "adamw");
  EXPECT_EQ(CheckOptimizers(KnownAnswersFile(), {.rule = "muon"}).status().code(), Code::kNotFound);
}

TEST(OptimizerCheckTest, AWrongWeightIsReportedWithItsPlace) {
  Json file = SmallFile();
  file["cases"][0]["expect"]["1"]["w"][0] = 0.50001;

  const CheckReport report = Check(file);

  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.failed(), 1);
  // Once in float64 and once for each instruction set.
  EXPECT_EQ(report.cases[0].failure_count, 1 + static_cast<int64_t>(RunnableIsas().size()));
  const std::string text = FormatReport(report);
  EXPECT_THAT(text, HasSubstr("FAILED  small (sgd)"));
  EXPECT_THAT(text, HasSubstr("case small rule sgd in float64: tensor w, element 0, update 1: "
                              "got 0.5, want 0.50001"));
  EXPECT_THAT(text, HasSubstr("in generic"));
}

TEST(OptimizerCheckTest, AWrongTrustRatioIsReported) {
  Json file = Json::parse(KnownAnswersFile());
  Json lamb;
  for (const Json& known_case : file["cases"]) {
    if (known_case["name"] == "lamb/tfa_LAMB") lamb = known_case;
  }
  lamb["expect"]["2"]["trust_ratio"]["w"] = 0.5;
  file["cases"] = Json::array({lamb});

  const CheckReport report = Check(file);

  EXPECT_FALSE(report.ok());
  EXPECT_THAT(FormatReport(report), HasSubstr("tensor w, trust ratio, update 2: got 3.0223"));
}

TEST(OptimizerCheckTest, AWeightThatIsNotANumberFails) {
  Json file = SmallFile();
  file["cases"][0]["rule"] = "adam";
  file["cases"][0]["settings"] = {{"eps", 0.0}};
  file["cases"][0]["gradients"][0]["w"][0] = 0.0;  // 0 / 0.

  EXPECT_FALSE(Check(file).ok());
}

// Gradient 0.5 at rate 1 twice, then half of the way back to the weight before.
TEST(OptimizerCheckTest, LookaheadGoesAroundTheRule) {
  Json file = SmallFile();
  Json& known_case = file["cases"][0];
  known_case["lookahead"] = {{"k", 1}, {"alpha", 0.0}};
  known_case["expect"]["1"]["w"] = known_case["tensors"][0]["initial"];
  EXPECT_TRUE(Check(file).ok());

  for (const Json& wrong : {Json(5), Json{{"k", 5}}, Json{{"k", 0}, {"alpha", 0.5}},
                            Json{{"k", 1.5}, {"alpha", 0.5}}, Json{{"k", 1}, {"alpha", 2}}}) {
    known_case["lookahead"] = wrong;
    const Result<CheckReport> report = CheckOptimizers(file.dump());
    EXPECT_EQ(report.status().code(), Code::kInvalidArgument) << wrong;
    EXPECT_THAT(report.status().message(), HasSubstr("lookahead"));
  }
}

TEST(OptimizerCheckTest, GradientsOfAQuadraticFollowTheWeights) {
  Json file = SmallFile();
  Json& known_case = file["cases"][0];
  known_case.erase("gradients");
  known_case["gradient_of"] = {{"quadratic", {{"w", {1.0}}}}};
  known_case["learning_rates"] = {0.5, 0.25};
  known_case["expect"] = {{"2", {{"w", {0.75}}}}};  // 2, then 1, then 0.75.

  EXPECT_TRUE(Check(file).ok());
}

struct Spoiled {
  const char* pointer;  // JSON pointer to what is replaced.
  Json value;
  const char* message;
};

TEST(OptimizerCheckTest, AnythingUnexpectedInTheFileIsNamed) {
  const std::vector<Spoiled> spoiled = {
      {"/format", "drover-optimizer-known-answers-2", "\"format\""},
      {"/cases", 3, "\"cases\""},
      {"/cases/0", 3, "case 0: expected an object"},
      {"/cases/0/name", 3, "case 0: expected a name"},
      {"/cases/0/rule", 3, "expected a rule"},
      {"/cases/0/rule", "sgdd", "rule \"sgdd\" is unknown"},
      {"/cases/0/warm_restart", 3, "\"warm_restart\""},
      {"/cases/0/settings", 3, "\"settings\""},
      {"/cases/0/settings/beta3", 0.5, "setting \"beta3\" is unknown to rule sgd"},
      {"/cases/0/settings/weight_decay", "1", "setting \"weight_decay\": expected a number"},
      {"/cases/0/settings/weight_decay", -1.0, "weight_decay is -1"},
      {"/cases/0/settings/momentum", 0.9, "write rule momentum"},
      {"/cases/0/settings/nesterov", true, "rule nag"},
      {"/cases/0/settings/nesterov", 1, "true or false"},
      {"/cases/0/learning_rates", 3, "\"learning_rates\": expected an array"},
      {"/cases/0/learning_rates/0", "3", "\"learning_rates\": expected an array"},
      {"/cases/0/tensors", Json::array(), "\"tensors\""},
      {"/cases/0/tensors/0", 3, "\"tensors\": expected an object"},
      {"/cases/0/tensors/0/name", 3, "\"name\": expected a string"},
      {"/cases/0/tensors/0/name", "", "expected a name"},
      {"/cases/0/tensors/0/initial", 3, "\"initial\": expected an array"},
      {"/cases/0/tensors/0/weight_decay", 3, "\"weight_decay\": expected true or false"},
      {"/cases/0/tensors/0/shape", 3, "\"shape\""},
      {"/cases/0/tensors/1", {{"name", "w"}, {"initial", {1.0}}}, "tensor \"w\" once"},
      {"/cases/0/gradients", 3, "as long as learning_rates"},
      {"/cases/0/gradients/0", 3, "\"w\": expected to be there"},
      {"/cases/0/gradients/0/w", {1.0, 2.0}, "expected 1 numbers, 2 came"},
      {"/cases/0/gradient_of", 3, "either gradients or gradient_of"},
      {"/cases/0/expect", Json::object(), "\"expect\""},
      {"/cases/0/expect/0", {{"w", {1.0}}}, "update from 1 to 1"},
      {"/cases/0/expect/2", {{"w", {1.0}}}, "update from 1 to 1"},
      {"/cases/0/expect/1", 3, "expected an object"},
      {"/cases/0/expect/1/w", Json::array(), "expected 1 numbers, 0 came"},
      {"/cases/0/expect/1/v", {1.0}, "the case's tensors and trust_ratio only"},
      {"/cases/0/expect/1/trust_ratio", 3, "\"trust_ratio\""},
  };
  for (const Spoiled& spoil : spoiled) {
    Json file = SmallFile();
    file[Json::json_pointer(spoil.pointer)] = spoil.value;

    const Result<CheckReport> report = CheckOptimizers(file.dump());

    ASSERT_FALSE(report.ok()) << spoil.pointer;
    EXPECT_EQ(report.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(report.status().message(), HasSubstr(spoil.message)) << spoil.pointer;
  }
}

TEST(OptimizerCheckTest, LambSettingsAreRefusedByName) {
  Json file = SmallFile();
  file["cases"][0]["rule"] = "lamb";
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, Json>>{{"bias_correction", "sometimes"},
                                                 {"eps_mode", 1},
                                                 {"decay_mode", "l1"},
                                                 {"adapt", true},
                                                 {"grad_averaging", "yes"},
                                                 {"phi_max", "10"},
                                                 {"momentum", 0.9}}) {
    file["cases"][0]["settings"] = {{name, value}};

    const Result<CheckReport> report = CheckOptimizers(file.dump());

    EXPECT_EQ(report.status().code(), Code::kInvalidArgument) << name;
    EXPECT_THAT(report.status().message(), HasSubstr(std::string("\"") + name + "\""));
  }
}

TEST(OptimizerCheckTest, TextThatIsNoJsonIsRefused) {
  for (const char* text : {"", "{", "[1e999]", "nonsense", "[]", "3"}) {
    EXPECT_EQ(CheckOptimizers(text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(CheckOptimizers(std::string(100'000, '[')).status().code(), Code::kInvalidArgument);
}

TEST(OptimizerCheckTest, AFileWithoutCasesChecksNothing) {
  Json file = SmallFile();
  file["cases"] = Json::array();

  EXPECT_EQ(CheckOptimizers(file.dump()).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace drover
