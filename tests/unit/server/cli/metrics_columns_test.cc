#include "server/cli/metrics_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::EvalReport EvaluationOf(int64_t version) {
  v1::EvalReport report;
  report.set_version(version);
  report.set_loss(0.5);
  report.set_accuracy(0.75);
  report.set_samples(1000);
  return report;
}

TEST(MetricsColumnsTest, AnEvaluationStandsBesideTheStepBeforeIt) {
  v1::GetMetricsResponse metrics;
  *metrics.add_steps() = SampleStep(0, 1).step();
  *metrics.add_steps() = SampleStep(4, 1).step();
  for (const int64_t version : {1, 3, 5, 9}) *metrics.add_evaluations() = EvaluationOf(version);

  const std::vector<MetricsRow> rows = RowsOf(metrics);

  ASSERT_EQ(rows.size(), 4U);
  const int64_t steps[] = {0, 2, 4, 8};
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].step, steps[i]);
    EXPECT_EQ(rows[i].report != nullptr, i % 2 == 0);
    EXPECT_EQ(rows[i].evaluation->version(), steps[i] + 1);
  }
}

// The columns are an interface: scripts read them.
TEST(MetricsColumnsTest, TheHeadOfTheTableIsStable) {
  EXPECT_EQ(CsvHead(),
            "step,time_unix_ms,applied,skipped,skip_reason,loss,accuracy,samples,tokens,"
            "learning_rate,gradient_norm,clip_factor,weight_norm,update_norm,trust_ratio_min,"
            "trust_ratio_median,trust_ratio_max,gradient_noise_scale,seconds,samples_per_second,"
            "eval_loss,eval_accuracy,eval_samples,eval_masked_loss,eval_masked_accuracy,"
            "eval_masked_tokens\n");
}

TEST(MetricsColumnsTest, NumbersReadBackAndWhatWasNotMeasuredIsEmpty) {
  v1::StepReport step = SampleStep(3, 0.5).step();
  step.set_loss(0.1);
  step.set_time_unix_ms(1'700'000'000'123);
  step.set_trust_ratio_max(0);
  const v1::EvalReport evaluation = EvaluationOf(4);

  EXPECT_EQ(CsvOf({{3, &step, &evaluation}}),
            "3,1700000000123,4,false,,0.1,0.947,32768,,0.0171,0.82,1,,,,,,,0.5,65536,"
            "0.5,0.75,1000,,,\n");
}

TEST(MetricsColumnsTest, ASkippedStepHasAReasonAndNoLoss) {
  v1::StepReport step;
  step.set_step(3);
  step.set_applied(2);
  step.set_skipped(true);
  step.set_skip_reason("leaf 1, \"fc\": nan");
  step.set_learning_rate(0.5);

  EXPECT_THAT(CsvOf({{3, &step, nullptr}}),
              StartsWith("3,,2,true,\"leaf 1, \"\"fc\"\": nan\",,,,,0.5,,"));
}

TEST(MetricsColumnsTest, JsonLinesLeaveOutWhatIsNotThere) {
  v1::StepReport step = SampleStep(3, 0.5).step();
  step.set_gradient_noise_scale(1234.5);
  step.set_loss(std::numeric_limits<double>::infinity());
  step.set_skip_reason("no reason, as it was applied");

  const auto object = nlohmann::json::parse(JsonLinesOf({{3, &step, nullptr}}));

  EXPECT_EQ(object["step"], 3);
  EXPECT_EQ(object["skipped"], false);
  EXPECT_EQ(object["accuracy"], 0.947);
  EXPECT_EQ(object["gradient_noise_scale"], 1234.5);
  for (const char* name : {"loss", "eval_loss", "weight_norm", "skip_reason"}) {
    EXPECT_FALSE(object.contains(name)) << name;
  }
}

TEST(MetricsColumnsTest, TheTableHasARowPerStepAndEvaluation) {
  const v1::StepReport step = SampleStep(3, 0.5).step();
  v1::StepReport skipped;
  skipped.set_skipped(true);
  const v1::EvalReport evaluation = EvaluationOf(10);

  const std::string table =
      MetricsTable({{3, &step, nullptr}, {4, &skipped, nullptr}, {9, nullptr, &evaluation}}, false);

  EXPECT_THAT(table, StartsWith("STEP"));
  EXPECT_THAT(table, HasSubstr("0.1832"));
  EXPECT_THAT(table, HasSubstr("skipped"));
  EXPECT_THAT(table, HasSubstr("0.75"));
}

}  // namespace
}  // namespace drover
