#include "server/coordinator/job_proto.h"

#include <gtest/gtest.h>

#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

// JobToProto casts: names and numbers must be those of the protocol.
TEST(JobProtoTest, StatesHaveTheNumbersOfTheProtocol) {
  for (int number = v1::JobState_MIN + 1; number <= v1::JobState_MAX; ++number) {
    EXPECT_EQ(v1::JobState_Name(static_cast<v1::JobState>(number)),
              std::string("JOB_STATE_") + JobStateName(static_cast<JobState>(number)));
  }
}

TEST(JobProtoTest, IdsAreSixteenDigits) {
  EXPECT_EQ(JobIdText(0xab), "00000000000000ab");
  EXPECT_EQ(JobIdText(UINT64_MAX), "ffffffffffffffff");
}

TEST(JobProtoTest, AJobCarriesWhatIsKnownOfIt) {
  JobRecord record;
  record.id = 0xab;
  record.state = JobState::kRecovering;
  record.reason = "WAITING_FOR_SHARDS";
  record.message = "1 of 2";
  record.epoch = 3;
  record.version = 17;
  record.layout = SmallLayout();
  record.numeric_class = "cpu";
  record.ledger = {1, 2, 3, 4, 5, 6};
  record.workers_lost = 7;
  record.shards_restarted = 8;
  record.checkpoints = {{10, 9, "/a", 1, "old", {}}, {15, 14, "/b", 1, "new", {}}};
  JobFacts facts;
  facts.spec = SmallSpec();
  facts.created_unix_ms = 100;
  facts.started_unix_ms = 200;

  const v1::Job job = JobToProto(record, facts);

  EXPECT_EQ(job.id(), "00000000000000ab");
  EXPECT_EQ(job.spec().name(), "digits");
  EXPECT_EQ(job.state(), v1::JOB_STATE_RECOVERING);
  EXPECT_EQ(job.reason(), "WAITING_FOR_SHARDS");
  EXPECT_EQ(job.message(), "1 of 2");
  EXPECT_EQ(job.epoch(), 3u);
  EXPECT_EQ(job.step(), 17);
  EXPECT_EQ(job.create_time_unix_ms(), 100);
  EXPECT_EQ(job.start_time_unix_ms(), 200);
  EXPECT_EQ(job.end_time_unix_ms(), 0);
  EXPECT_FALSE(job.has_last_step());
  EXPECT_FALSE(job.has_last_eval());
  EXPECT_EQ(job.parameters(), 300u * 300u + 300u);
  EXPECT_EQ(job.numeric_class(), "cpu");
  EXPECT_EQ(job.weights_digest(), "new");
  EXPECT_EQ(job.weights_digest_step(), 14);
  EXPECT_EQ(job.workers_lost(), 7);
  EXPECT_EQ(job.shards_restarted(), 8);
  EXPECT_EQ(job.ledger().ShortDebugString(),
            "leaves_expected: 1 leaves_counted: 2 leaf_chunks_expected: 3 leaf_chunks_applied: 4 "
            "duplicates: 5 refused: 6");
}

TEST(JobProtoTest, ReportsComeBackFromTheStore) {
  StepSummary step;
  step.step = 1;
  step.applied = 2;
  step.skipped = true;
  step.skip_reason = "nan";
  step.loss = 3;
  step.accuracy = 0.5;
  step.samples = 100;
  step.learning_rate = 0.25;
  step.gradient_norm = 4;
  step.clip_factor = 0.75;
  step.seconds = 2;
  step.trust_ratio_min = 5;
  step.trust_ratio_median = 6;
  step.trust_ratio_max = 7;
  step.weight_norm = 8;
  step.update_norm = 9;
  step.noise_scale = 10;
  step.tokens = 11;
  const v1::StepReport report = StepReportToProto(step);

  EXPECT_EQ(report.samples_per_second(), 50.0);
  EXPECT_EQ(StepReportToProto(StepSummaryFromProto(report)).SerializeAsString(),
            report.SerializeAsString());
  const EvalSummary eval =
      EvalSummaryFromProto(EvalReportToProto({9, 0.5, 0.75, 1000, 2.5, 0.25, 300}));
  EXPECT_EQ(eval.version, 9);
  EXPECT_EQ(eval.loss, 0.5);
  EXPECT_EQ(eval.accuracy, 0.75);
  EXPECT_EQ(eval.samples, 1000);
  EXPECT_EQ(eval.masked_loss, 2.5);
  EXPECT_EQ(eval.masked_accuracy, 0.25);
  EXPECT_EQ(eval.masked_tokens, 300);
}

// A step that took no measurable time must not make the speed infinite.
TEST(JobProtoTest, SpeedIsZeroWhenTheTimeIsNotKnown) {
  StepSummary step;
  step.samples = 100;

  EXPECT_EQ(StepReportToProto(step).samples_per_second(), 0.0);
}

TEST(JobProtoTest, CheckpointsAreNamedAfterJobAndVersion) {
  const v1::CheckpointInfo info = CheckpointToProto(0xab, {50, 48, "/c", 10, "d", {}}, 999);

  EXPECT_EQ(info.id(), "00000000000000ab-50");
  EXPECT_EQ(info.job_id(), "00000000000000ab");
  EXPECT_EQ(info.applied(), 48);
  EXPECT_EQ(info.create_time_unix_ms(), 999);
}

}  // namespace
}  // namespace drover
