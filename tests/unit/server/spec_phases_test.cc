#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/spec.h"
#include "tests/unit/server/smallest_spec.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

TEST(SpecPhasesTest, MicroBatchIsTheLeafWhenThatIsSmaller) {
  v1::JobSpec spec = SmallestSpec();
  spec.set_batch(32 * 100);

  const Result<JobPlan> plan = PlanJob(spec);

  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan.value().phases[0].micro_batch, 100);
  EXPECT_EQ(plan.value().fraction_bits, 36);  // 48 - ceil(log2 3200).
}

// batch -> leaves, micro_batch: the largest divisors that are at most 32 and 256.
TEST(SpecPhasesTest, DefaultLeavesAndMicroBatchFitAnyBatch) {
  struct Case {
    int64_t batch, leaves, micro_batch;
  };
  for (const Case& expected : {Case{1, 1, 1},
                               {2, 2, 1},
                               {7, 7, 1},
                               {31, 31, 1},
                               {32, 32, 1},
                               {64, 32, 2},
                               {37, 1, 37},
                               {1000, 25, 40},
                               {32 * 384, 32, 192},
                               {60'000, 32, 125},
                               {55'000, 25, 220},
                               {257, 1, 1},
                               {16'777'216, 32, 256}}) {
    v1::JobSpec spec = SmallestSpec();
    spec.set_batch(expected.batch);
    const Result<JobPlan> plan = PlanJob(spec);
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    EXPECT_EQ(plan.value().phases[0].leaves, expected.leaves) << expected.batch;
    EXPECT_EQ(plan.value().phases[0].micro_batch, expected.micro_batch) << expected.batch;
  }
}

TEST(SpecPhasesTest, DefaultLeavesFollowTheMicroBatchThatIsSet) {
  v1::JobSpec spec = SmallestSpec();
  spec.set_batch(1000);
  spec.set_micro_batch(100);

  EXPECT_EQ(PlanJob(spec).value().phases[0].leaves, 10);
}

// NVIDIA's two phases of BERT, with the schedule and the micro-batch of the job where a phase says
// nothing.
v1::JobSpec TwoPhases() {
  v1::JobSpec spec = SmallestSpec();
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(R"(
    steps: 0 batch: 65536 leaves: 64 micro_batch: 128
    schedule { peak: 6e-3 warmup_fraction: 0.2843 decay: DECAY_POLYNOMIAL power: 0.5 }
    phases { steps: 7038 }
    phases { steps: 1563 batch: 32768 restart_updates: true
             schedule { peak: 4e-3 warmup_fraction: 0.128 decay: DECAY_LINEAR } }
  )",
                                                            &spec));
  spec.clear_steps();
  return spec;
}

TEST(SpecPhasesTest, PhasesFollowOneAnother) {
  const Result<JobPlan> planned = PlanJob(TwoPhases());

  ASSERT_TRUE(planned.ok()) << planned.status().message();
  const JobPlan& plan = planned.value();
  ASSERT_EQ(plan.phases.size(), 2U);
  const PhasePlan& first = plan.phases.front();
  const PhasePlan& second = plan.phases.back();
  EXPECT_EQ(plan.steps, 8601);
  EXPECT_EQ(plan.fraction_bits, 32);  // 48 - log2 65536, the larger one.
  EXPECT_EQ(first.batch, 65536);
  EXPECT_EQ(first.leaves, 64);
  EXPECT_EQ(first.micro_batch, 128);
  EXPECT_EQ(first.schedule.warmup_steps, 2000);
  EXPECT_EQ(first.schedule.total_steps, 7038);
  EXPECT_FALSE(first.restart_updates);
  EXPECT_EQ(second.first_step, 7038);
  EXPECT_EQ(second.batch, 32768);
  EXPECT_EQ(second.leaves, 32);  // The job's belong to the job's batch.
  EXPECT_EQ(second.micro_batch, 128);
  EXPECT_EQ(second.schedule.warmup_steps, 200);
  EXPECT_EQ(second.schedule.total_steps, 1563);
  EXPECT_TRUE(second.restart_updates);
}

TEST(SpecPhasesTest, FindsThePhaseAndTheSamplesOfAStep) {
  const JobPlan plan = PlanJob(TwoPhases()).value();

  EXPECT_EQ(&plan.PhaseAt(0), &plan.phases[0]);
  EXPECT_EQ(&plan.PhaseAt(7037), &plan.phases[0]);
  EXPECT_EQ(&plan.PhaseAt(7038), &plan.phases[1]);
  EXPECT_EQ(&plan.PhaseAt(8601), &plan.phases[1]);  // The version after the last step.
  EXPECT_EQ(plan.SamplesBefore(0), 0);
  EXPECT_EQ(plan.SamplesBefore(7037), 7037 * 65536);
  EXPECT_EQ(plan.SamplesBefore(7039), 7038 * int64_t{65536} + 32768);
  EXPECT_EQ(plan.SamplesBefore(8601), 7038 * int64_t{65536} + 1563 * int64_t{32768});
  EXPECT_EQ(plan.shapes(), (std::vector<StepShape>{{0, 64, 65536}, {7038, 32, 32768}}));
}

TEST(SpecPhasesTest, NamesThePhaseThatIsWrong) {
  v1::JobSpec spec = TwoPhases();
  spec.set_steps(5);
  spec.mutable_phases(0)->clear_steps();
  spec.mutable_phases(1)->set_batch(-1);
  spec.mutable_phases(1)->mutable_schedule()->set_peak(0);

  EXPECT_THAT(Violations(spec),
              HasSubstr("phases[0].steps: is missing: the number of optimizer updates\n"
                        "phases[1].batch: is -1, expected 1 to 16777216\n"
                        "phases[1].schedule.peak: is missing: the highest learning rate, a number "
                        "> 0\n"
                        "steps: is 5, expected the sum of the phases ("));
}

TEST(SpecPhasesTest, APhasesSequenceLengthFitsTextAndModel) {
  v1::JobSpec spec = TwoPhases();
  spec.mutable_phases(1)->set_sequence_length(512);
  EXPECT_EQ(
      PlanJob(spec).status().message(),
      "phases[1].sequence_length: is 512, and the dataset is not text; expected no such field");

  spec.mutable_model()->mutable_bert()->set_size(v1::Bert::SIZE_TINY);
  spec.mutable_dataset()->mutable_text()->set_path("/text");
  EXPECT_TRUE(PlanJob(spec).ok()) << PlanJob(spec).status().message();

  spec.mutable_phases(1)->set_sequence_length(513);
  EXPECT_EQ(PlanJob(spec).status().message(),
            "phases[1].sequence_length: is 513, expected 8 to 512");
}

TEST(SpecPhasesTest, RefusesMorePhasesThanAShardTakes) {
  v1::JobSpec spec = TwoPhases();
  for (int i = 0; i < kPhasesMax; ++i) spec.add_phases()->set_steps(10);

  EXPECT_EQ(Violations(spec), "phases: has 66 entries, expected at most 64");
}

TEST(SpecPhasesTest, AFieldOfANewerClientInAPhaseIsNotIgnored) {
  v1::JobSpec spec = TwoPhases();
  spec.mutable_phases(1)->mutable_schedule()->set_decay(static_cast<v1::ScheduleSpec::Decay>(99));

  EXPECT_EQ(Violations(spec),
            "phases[1].schedule.decay: is number 99, which this version does not know");
}

TEST(SpecPhasesTest, WritesEveryPhaseOut) {
  const v1::JobSpec spec = TwoPhases();
  const JobPlan plan = PlanJob(spec).value();

  const v1::JobSpec full = WithDefaults(spec, plan);
  const Result<JobPlan> again = PlanJob(full);

  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again.value().shapes(), plan.shapes());
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again.value().phases[i].schedule, plan.phases[i].schedule);
    EXPECT_EQ(again.value().phases[i].micro_batch, plan.phases[i].micro_batch);
  }
  EXPECT_EQ(full.steps(), 8601);
  EXPECT_FALSE(full.has_schedule());
  EXPECT_EQ(WithDefaults(full, again.value()).SerializeAsString(), full.SerializeAsString());
}

}  // namespace
}  // namespace drover
