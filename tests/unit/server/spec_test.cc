#include "server/spec.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::JobSpec SmallestSpec() {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "a"
    model { mlp { hidden: 8 } }
    dataset { synthetic_digits {} }
    batch: 32768
    steps: 100
    optimizer { lamb {} }
    schedule { peak: 0.02 }
  )",
                                                            &spec));
  return spec;
}

// "field: what" of every violation, one per line.
std::string Violations(const v1::JobSpec& spec) {
  const Result<JobPlan> plan = PlanJob(spec);
  if (plan.ok()) return "";
  EXPECT_EQ(plan.status().code(), Code::kInvalidArgument);
  return plan.status().message();
}

std::string ViolationsAfter(const std::function<void(v1::JobSpec*)>& change) {
  v1::JobSpec spec = SmallestSpec();
  change(&spec);
  return Violations(spec);
}

TEST(PlanJobTest, FillsInTheDefaultsOfTheProto) {
  const Result<JobPlan> plan = PlanJob(SmallestSpec());

  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan.value().phases[0].leaves, 32);
  EXPECT_EQ(plan.value().phases[0].micro_batch, 256);
  EXPECT_EQ(plan.value().phases[0].leaf_samples(), 1024);
  EXPECT_EQ(plan.value().seed, 1U);
  EXPECT_EQ(plan.value().fraction_bits, 33);  // 48 - log2 32768.
  EXPECT_EQ(plan.value().optimizer, DefaultSettings(Rule::kLamb));
  EXPECT_EQ(plan.value().phases[0].schedule.peak, 0.02);
  EXPECT_EQ(plan.value().phases[0].schedule.total_steps, 100);
  EXPECT_EQ(plan.value().phases[0].schedule.decay, Decay::kConstant);
  EXPECT_FALSE(plan.value().fail_on_nonfinite);
  EXPECT_EQ(plan.value().max_consecutive_skips, 5);
  EXPECT_EQ(plan.value().checkpoint_keep, 3);
  EXPECT_EQ(plan.value().target_accuracy, std::nullopt);
  EXPECT_EQ(plan.value().deadline_ms, 0);
  EXPECT_EQ(plan.value().ttl_after_end_ms, -1);
  EXPECT_EQ(plan.value().min_workers, 1u);
  EXPECT_EQ(plan.value().max_workers, 0u);
}

TEST(PlanJobTest, Tf32IsRefusedWhereNoGpuMayCompute) {
  v1::JobSpec spec = SmallestSpec();
  spec.set_precision(v1::JobSpec::PRECISION_TF32);
  EXPECT_TRUE(PlanJob(spec).ok());
  EXPECT_EQ(WithDefaults(spec, PlanJob(spec).value()).precision(), v1::JobSpec::PRECISION_TF32);

  spec.set_device(v1::JobSpec::DEVICE_CPU);
  EXPECT_NE(PlanJob(spec).status().message().find("precision: is tf32, which only GPUs have"),
            std::string::npos)
      << PlanJob(spec).status().message();
}

TEST(PlanJobTest, MicroBatchIsTheLeafWhenThatIsSmaller) {
  v1::JobSpec spec = SmallestSpec();
  spec.set_batch(32 * 100);

  const Result<JobPlan> plan = PlanJob(spec);

  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan.value().phases[0].micro_batch, 100);
  EXPECT_EQ(plan.value().fraction_bits, 36);  // 48 - ceil(log2 3200).
}

// batch -> leaves, micro_batch: the largest divisors that are at most 32 and 256.
TEST(PlanJobTest, DefaultLeavesAndMicroBatchFitAnyBatch) {
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

TEST(PlanJobTest, DefaultLeavesFollowTheMicroBatchThatIsSet) {
  v1::JobSpec spec = SmallestSpec();
  spec.set_batch(1000);
  spec.set_micro_batch(100);

  EXPECT_EQ(PlanJob(spec).value().phases[0].leaves, 10);
}

TEST(PlanJobTest, TheWarmUpMayBeAShareOfTheSteps) {
  v1::JobSpec spec = SmallestSpec();
  spec.set_steps(7038);
  spec.mutable_schedule()->set_warmup_fraction(0.2843);  // NVIDIA's BERT: 2000 steps.

  EXPECT_EQ(PlanJob(spec).value().phases[0].schedule.warmup_steps, 2000);
}

TEST(PlanJobTest, ReadsEveryDecay) {
  const auto plan = [](const char* schedule) {
    v1::JobSpec spec = SmallestSpec();
    spec.mutable_evaluation()->set_every_steps(5);
    EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(
        std::string("schedule { peak: 0.1 ") + schedule + "}", &spec));
    const Result<JobPlan> planned = PlanJob(spec);
    EXPECT_TRUE(planned.ok()) << planned.status().message();
    return planned.value().phases[0].schedule;
  };
  EXPECT_EQ(plan("decay: DECAY_LINEAR").decay, Decay::kPolynomial);
  EXPECT_EQ(plan("decay: DECAY_COSINE end: 0.01").decay, Decay::kCosine);
  EXPECT_EQ(plan("decay: DECAY_STEP every_steps: 7").factor, 0.5);
  EXPECT_EQ(plan("decay: DECAY_STEP every_passes: 2 factor: 0.1").every_passes, 2);
  EXPECT_EQ(plan("decay: DECAY_EXPONENTIAL every_steps: 7").decay, Decay::kExponential);
  EXPECT_EQ(plan("decay: DECAY_INVERSE_TIME every_steps: 7").decay, Decay::kInverseTime);
  EXPECT_EQ(plan("decay: DECAY_INVERSE_SQRT every_steps: 7").decay, Decay::kInverseSqrt);
  EXPECT_EQ(plan("decay: DECAY_PLATEAU patience: 0 min_improvement: 0.1").plateau,
            (PlateauSettings{.patience = 0, .min_improvement = 0.1}));
  EXPECT_EQ(plan("decay: DECAY_LINEAR decay_origin: DECAY_ORIGIN_STEP_ZERO").decay_origin,
            DecayOrigin::kStepZero);
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

TEST(PlanJobTest, PhasesFollowOneAnother) {
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

TEST(PlanJobTest, FindsThePhaseAndTheSamplesOfAStep) {
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

TEST(PlanJobTest, NamesThePhaseThatIsWrong) {
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

TEST(PlanJobTest, APhasesSequenceLengthFitsTextAndModel) {
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

TEST(PlanJobTest, RefusesMorePhasesThanAShardTakes) {
  v1::JobSpec spec = TwoPhases();
  for (int i = 0; i < kPhasesMax; ++i) spec.add_phases()->set_steps(10);

  EXPECT_EQ(Violations(spec), "phases: has 66 entries, expected at most 64");
}

TEST(PlanJobTest, AFieldOfANewerClientInAPhaseIsNotIgnored) {
  v1::JobSpec spec = TwoPhases();
  spec.mutable_phases(1)->mutable_schedule()->set_decay(static_cast<v1::ScheduleSpec::Decay>(99));

  EXPECT_EQ(Violations(spec),
            "phases[1].schedule.decay: is number 99, which this version does not know");
}

TEST(WithDefaultsTest, WritesEveryPhaseOut) {
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

TEST(PlanJobTest, TakesOverWhatIsSet) {
  v1::JobSpec spec = SmallestSpec();
  ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(R"(
    leaves: 16 micro_batch: 512 seed: 0
    optimizer { lamb { preset: "deepspeed" beta1: 0.8 no_decay: "none" adapt: ADAPT_IF_DECAY } }
    schedule { warmup_steps: 10 decay: DECAY_POLYNOMIAL end: 0.001 power: 0.5
               lr_scaling: LR_SCALING_SQRT base_batch: 512 }
    numerics { fraction_bits: 20 mixed: true }
    on_nonfinite: ON_NONFINITE_FAIL
    evaluation { every_steps: 20 } checkpoint { every_steps: 50 keep: 2 }
    target { metric: METRIC_ACCURACY at_least: 0.97 }
    deadline { seconds: 5400 } priority: -3 min_workers: 2 max_workers: 2
    ttl_after_end { nanos: 1500000 }
    labels { key: "team" value: "vision" }
  )",
                                                            &spec));

  const Result<JobPlan> planned = PlanJob(spec);

  ASSERT_TRUE(planned.ok()) << planned.status().message();
  const JobPlan& plan = planned.value();
  EXPECT_EQ(plan.phases[0].leaves, 16);
  EXPECT_EQ(plan.seed, 0U);
  EXPECT_EQ(plan.optimizer.bias_correction, BiasCorrection::kInLr);
  EXPECT_EQ(plan.optimizer.ratio_max, 10.0);
  EXPECT_EQ(plan.optimizer.beta1, 0.8);
  EXPECT_THAT(plan.optimizer.no_decay, IsEmpty());
  EXPECT_EQ(plan.optimizer.adapt, Adapt::kIfDecay);
  EXPECT_EQ(plan.phases[0].schedule.decay, Decay::kPolynomial);
  EXPECT_EQ(plan.phases[0].schedule.power, 0.5);
  EXPECT_EQ(plan.phases[0].schedule.base_batch, 512.0);
  EXPECT_EQ(plan.phases[0].schedule.batch, 32768);
  EXPECT_EQ(plan.fraction_bits, 20);
  EXPECT_TRUE(plan.mixed);
  EXPECT_TRUE(plan.fail_on_nonfinite);
  EXPECT_EQ(plan.target_accuracy, 0.97);
  EXPECT_EQ(plan.deadline_ms, 5'400'000);
  EXPECT_EQ(plan.priority, -3);
  EXPECT_EQ(plan.min_workers, 2u);
  EXPECT_EQ(plan.max_workers, 2u);
  EXPECT_EQ(plan.ttl_after_end_ms, 1);
  EXPECT_EQ(plan.labels.at("team"), "vision");
}

TEST(PlanJobTest, NoAdaptFollowsNoDecayUnlessThePresetSaysNone) {
  v1::JobSpec spec = SmallestSpec();
  spec.mutable_optimizer()->mutable_lamb()->add_no_decay("scale");
  EXPECT_EQ(PlanJob(spec).value().optimizer.no_adapt, std::vector<std::string>{"scale"});

  spec.mutable_optimizer()->mutable_lamb()->set_preset("apex");
  EXPECT_THAT(PlanJob(spec).value().optimizer.no_adapt, IsEmpty());

  spec.mutable_optimizer()->mutable_lamb()->add_no_adapt("bias");
  EXPECT_EQ(PlanJob(spec).value().optimizer.no_adapt, std::vector<std::string>{"bias"});
}

TEST(PlanJobTest, AnEmptySpecNamesEverythingThatIsMissing) {
  EXPECT_EQ(Violations(v1::JobSpec()),
            "name: is missing, expected [A-Za-z0-9_-]{1,63}\n"
            "model: is missing, expected one of mlp, cnn, bi_rnn, bi_gru, bi_lstm, bert, layers\n"
            "dataset: is missing, expected one of idx, synthetic_digits, text\n"
            "batch: is missing: samples per step, such as 32Ki\n"
            "steps: is missing: the number of optimizer updates\n"
            "schedule.peak: is missing: the highest learning rate, a number > 0\n"
            "optimizer: is missing, expected one of sgd, momentum, adam, adamw, lamb, "
            "momentum_classic, nag, nag_classic, adagrad, rmsprop, radam, nadam, lion, adabound, "
            "lars");
}

TEST(PlanJobTest, CheckJobSpecGivesTheSameViolationsAsPairs) {
  v1::JobSpec spec = SmallestSpec();
  spec.mutable_optimizer()->mutable_lamb()->set_beta2(1);
  std::vector<FieldViolation> violations;

  const Status status = CheckJobSpec(spec, &violations);

  EXPECT_EQ(status.message(), "optimizer.lamb.beta2: is 1, expected 0 <= beta2 < 1");
  EXPECT_THAT(violations, testing::ElementsAre(FieldViolation{"optimizer.lamb.beta2",
                                                              "is 1, expected 0 <= beta2 < 1"}));
  EXPECT_TRUE(CheckJobSpec(SmallestSpec(), nullptr).ok());
}

struct BadSpec {
  const char* what;
  std::function<void(v1::JobSpec*)> change;
  const char* violation;
};

class BadSpecTest : public ::testing::TestWithParam<BadSpec> {};

TEST_P(BadSpecTest, IsRefusedByTheNameOfTheField) {
  EXPECT_EQ(ViolationsAfter(GetParam().change), GetParam().violation);
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Cases 42 to 64 of the catalogue of bad inputs, as far as they are about the spec.
INSTANTIATE_TEST_SUITE_P(
    All, BadSpecTest,
    ::testing::Values(
        BadSpec{"NegativeBatch", [](v1::JobSpec* s) { s->set_batch(-1); },
                "batch: is -1, expected 1 to 16777216"},
        BadSpec{"LargestBatch", [](v1::JobSpec* s) { s->set_batch(INT64_MAX); },
                "batch: is 9223372036854775807, expected 1 to 16777216"},
        BadSpec{"BatchAndLeaves",
                [](v1::JobSpec* s) {
                  s->set_batch(1000);
                  s->set_leaves(32);
                },
                "batch: is 1000, not a multiple of leaves (32)"},
        BadSpec{"LeafAndMicroBatch",
                [](v1::JobSpec* s) {
                  s->set_batch(32 * 384);
                  s->set_leaves(32);
                  s->set_micro_batch(256);
                },
                "micro_batch: is 256, and a leaf of 384 samples is not a multiple of it; 192 "
                "fits"},
        BadSpec{"MicroBatchThatDoesNotDivide",
                [](v1::JobSpec* s) {
                  s->set_batch(10);
                  s->set_micro_batch(4);
                },
                "micro_batch: is 4, and a leaf of 5 samples is not a multiple of it; 1 fits"},
        BadSpec{"MicroBatchLargerThanLeaf", [](v1::JobSpec* s) {
                  s->set_leaves(32);
                  s->set_micro_batch(2048);
                },
                "micro_batch: is 2048, and a leaf of 1024 samples is not a multiple of it; 1024 "
                "fits"},
        BadSpec{"NoLeaves", [](v1::JobSpec* s) { s->set_leaves(0); },
                "leaves: is 0, expected 1 to 4096"},
        BadSpec{"TooManyLeaves", [](v1::JobSpec* s) { s->set_leaves(4097); },
                "leaves: is 4097, expected 1 to 4096"},
        BadSpec{"MicroBatchZero", [](v1::JobSpec* s) { s->set_micro_batch(0); },
                "micro_batch: is 0, expected 1 to 65536"},
        BadSpec{"ManySteps", [](v1::JobSpec* s) { s->set_steps(int64_t{1} << 62); },
                "steps: is 4611686018427387904, expected 1 to 2147483648"},
        BadSpec{"NegativeSteps", [](v1::JobSpec* s) { s->set_steps(-5); },
                "steps: is -5, expected 1 to 2147483648"},
        BadSpec{"NanPeak", [](v1::JobSpec* s) { s->mutable_schedule()->set_peak(kNan); },
                "schedule.peak: is nan, expected a learning rate from 0 (not included) to 1e6"},
        BadSpec{"InfinitePeak", [](v1::JobSpec* s) { s->mutable_schedule()->set_peak(kInfinity); },
                "schedule.peak: is inf, expected a learning rate from 0 (not included) to 1e6"},
        BadSpec{"NegativePeak", [](v1::JobSpec* s) { s->mutable_schedule()->set_peak(-1); },
                "schedule.peak: is -1, expected a learning rate from 0 (not included) to 1e6"},
        BadSpec{"BetaOne",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_adam()->set_beta1(1); },
                "optimizer.adam.beta1: is 1, expected 0 <= beta1 < 1"},
        BadSpec{"BetaNan",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_lamb()->set_beta2(kNan); },
                "optimizer.lamb.beta2: is nan, expected 0 <= beta2 < 1"},
        BadSpec{"EpsZero",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_adamw()->set_eps(0); },
                "optimizer.adamw.eps: is 0, expected 1e-30 <= eps <= 1"},
        BadSpec{"InfiniteDecay",
                [](v1::JobSpec* s) {
                  s->mutable_optimizer()->mutable_sgd()->set_weight_decay(kInfinity);
                },
                "optimizer.sgd.weight_decay: is inf, expected 0 <= weight_decay <= 1e30"},
        BadSpec{"NegativeMomentum",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_momentum()->set_momentum(-1); },
                "optimizer.momentum.momentum: is -1, expected 0 <= momentum < 1"},
        BadSpec{"LimitsInTheWrongOrder",
                [](v1::JobSpec* s) {
                  s->mutable_optimizer()->mutable_lamb()->set_phi_min(2);
                  s->mutable_optimizer()->mutable_lamb()->set_phi_max(1);
                },
                "optimizer.lamb: optimizer phi_max is 1, expected > 0 and >= phi_min, or infinity "
                "for no limit"},
        BadSpec{"Preset",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_lamb()->set_preset("x\n"); },
                "optimizer.lamb.preset: is \"x\\x0a\", expected one of tfa, apex, nvlamb, "
                "nvlamb_picture, paper_v3, ymcui, cybertron, deepspeed, lambc"},
        BadSpec{"EmptyExclusion",
                [](v1::JobSpec* s) { s->mutable_optimizer()->mutable_lamb()->add_no_decay(""); },
                "optimizer.lamb.no_decay: holds \"\", expected parts of tensor names such as "
                "\"bias\""},
        BadSpec{"WarmupTooLong",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_warmup_steps(100); },
                "schedule.warmup_steps: is 100: the warm-up would end at step 100, expected before "
                "the last of 100 steps"},
        BadSpec{"WarmupOverflow",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_warmup_steps(INT64_MAX);
                  s->mutable_schedule()->set_start_warmup_step(INT64_MIN);
                },
                "schedule.start_warmup_step: is -9223372036854775808, expected -2147483648 to 0\n"
                "schedule.warmup_steps: is 9223372036854775807, expected 0 to 4294967296"},
        BadSpec{"PowerOfNothing", [](v1::JobSpec* s) { s->mutable_schedule()->set_power(2); },
                "schedule.power: needs schedule.decay: polynomial"},
        BadSpec{"FractionBesideSteps",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_warmup_steps(1);
                  s->mutable_schedule()->set_warmup_fraction(0.1);
                },
                "schedule.warmup_fraction: stands beside schedule.warmup_steps, expected one of "
                "them"},
        BadSpec{"FractionOfEverything",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_warmup_fraction(1); },
                "schedule.warmup_fraction: is 1, expected a share of the steps, 0 <= "
                "warmup_fraction < 1"},
        BadSpec{"StepWithoutPeriod",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_STEP);
                },
                "schedule.every_steps: is missing: the period of the decay, or "
                "schedule.every_passes"},
        BadSpec{"TwoPeriods",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_EXPONENTIAL);
                  s->mutable_schedule()->set_every_steps(1);
                  s->mutable_schedule()->set_every_passes(1);
                },
                "schedule.every_passes: stands beside schedule.every_steps, expected one of them"},
        BadSpec{"PeriodAndFactorOfNothing",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_factor(0.5);
                  s->mutable_schedule()->set_every_steps(1);
                },
                "schedule.factor: needs schedule.decay: step, exponential or plateau\n"
                "schedule.every_steps: needs schedule.decay: step, exponential, inverse_time or "
                "inverse_sqrt"},
        BadSpec{"FactorAboveOne",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_STEP);
                  s->mutable_schedule()->set_every_passes(2'000'000);
                  s->mutable_schedule()->set_factor(2);
                },
                "schedule.factor: is 2, expected 0 < factor <= 1\n"
                "schedule.every_passes: is 2000000, expected 0 to 1000000"},
        BadSpec{"PatienceOfNothing",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_patience(1); },
                "schedule.patience: needs schedule.decay: plateau"},
        BadSpec{"PlateauWithoutEvaluations",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(v1::ScheduleSpec::DECAY_PLATEAU);
                  s->mutable_schedule()->set_patience(-1);
                  s->mutable_schedule()->set_min_improvement(1);
                },
                "schedule.patience: is -1, expected 0 to 1000000\n"
                "schedule.min_improvement: is 1, expected a share of the loss, 0 <= "
                "min_improvement < 1\n"
                "evaluation.every_steps: is missing: schedule.decay is plateau, which looks at "
                "evaluations"},
        BadSpec{"EndOfNothing", [](v1::JobSpec* s) { s->mutable_schedule()->set_end(0.1); },
                "schedule.end: needs another schedule.decay than constant"},
        BadSpec{"ScalingWithoutBase",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_lr_scaling(v1::ScheduleSpec::LR_SCALING_LINEAR);
                },
                "schedule.base_batch: is missing: the batch for which schedule.peak is meant"},
        BadSpec{"BaseWithoutScaling",
                [](v1::JobSpec* s) { s->mutable_schedule()->set_base_batch(256); },
                "schedule.base_batch: needs schedule.lr_scaling: sqrt or linear"},
        BadSpec{"NoHeadroom", [](v1::JobSpec* s) { s->mutable_numerics()->set_fraction_bits(34); },
                "numerics.fraction_bits: is 34, expected 8 to 33 for batch 32768"},
        BadSpec{"NameWithNewline", [](v1::JobSpec* s) { s->set_name("a\nb"); },
                "name: is \"a\\x0ab\", expected [A-Za-z0-9_-]{1,63}"},
        BadSpec{"NameWithNul", [](v1::JobSpec* s) { s->set_name(std::string("a\0", 2)); },
                "name: is \"a\\x00\", expected [A-Za-z0-9_-]{1,63}"},
        BadSpec{"NameOfAFile", [](v1::JobSpec* s) { s->set_name("../a"); },
                "name: is \"../a\", expected [A-Za-z0-9_-]{1,63}"},
        BadSpec{"WideLayer",
                [](v1::JobSpec* s) { s->mutable_model()->mutable_mlp()->add_hidden(INT64_MAX); },
                "model.mlp.hidden: is 9223372036854775807, expected 1 to 65536"},
        BadSpec{"TooManyParameters",
                [](v1::JobSpec* s) {
                  for (int i = 0; i < 3; ++i) s->mutable_model()->mutable_mlp()->add_hidden(65536);
                },
                "model.mlp.hidden: makes more than 8590458888 parameters, expected at most "
                "2147483648"},
        BadSpec{"ManyLayers",
                [](v1::JobSpec* s) {
                  for (int i = 0; i < 64; ++i) s->mutable_model()->mutable_mlp()->add_hidden(1);
                },
                "model.mlp.hidden: has 65 layers, expected at most 64"},
        BadSpec{"NoPath", [](v1::JobSpec* s) { s->mutable_dataset()->mutable_idx(); },
                "dataset.idx.path: is missing: the folder with the four IDX files, named as "
                "MNIST's"},
        BadSpec{"PathWithNewline",
                [](v1::JobSpec* s) { s->mutable_dataset()->mutable_idx()->set_path("/a\n"); },
                "dataset.idx.path: is \"/a\\x0a\", expected the path of a folder"},
        BadSpec{"StdZero",
                [](v1::JobSpec* s) {
                  s->mutable_dataset()->mutable_idx()->set_path("/a");
                  s->mutable_dataset()->mutable_idx()->set_std(0.0);
                },
                "dataset.idx.std: is 0, expected 0.001 to 1000"},
        BadSpec{"MeanNotANumber",
                [](v1::JobSpec* s) {
                  s->mutable_dataset()->mutable_idx()->set_path("/a");
                  s->mutable_dataset()->mutable_idx()->set_mean(std::nan(""));
                },
                "dataset.idx.mean: is nan, expected -1000 to 1000"},
        BadSpec{"TextForAnMlp",
                [](v1::JobSpec* s) { s->mutable_dataset()->mutable_text()->set_path("/a"); },
                "dataset.text: gives tokens, and this model reads images; expected idx or "
                "synthetic_digits"},
        BadSpec{"BertWithoutSize",
                [](v1::JobSpec* s) { s->mutable_model()->mutable_bert()->set_layers(2); },
                "model.bert.size: is missing, expected one of tiny, mini, base, large"},
        BadSpec{"BertOfImages",
                [](v1::JobSpec* s) {
                  s->mutable_model()->mutable_bert()->set_size(v1::Bert::SIZE_TINY);
                },
                "dataset: gives images, and a bert reads text; expected text"},
        BadSpec{"BertOutOfBounds",
                [](v1::JobSpec* s) {
                  s->mutable_dataset()->mutable_text()->set_path("/a");
                  s->mutable_dataset()->mutable_text()->set_sequence_length(128);
                  v1::Bert* const bert = s->mutable_model()->mutable_bert();
                  bert->set_size(v1::Bert::SIZE_TINY);
                  bert->set_layers(129);
                  bert->set_heads(3);
                  bert->set_intermediate(-1);
                  bert->set_positions(100);
                  bert->set_vocabulary_multiple(-8);
                  bert->set_dropout(1);
                },
                "model.bert.layers: is 129, expected 1 to 128\n"
                "model.bert.heads: is 3, expected a divisor of hidden (128)\n"
                "model.bert.intermediate: is -1, expected 1 to 65536\n"
                "model.bert.vocabulary_multiple: is -8, expected 1 to 1024\n"
                "model.bert.dropout: is 1, expected 0 to below 1\n"
                "model.bert.positions: is 100, expected at least dataset.text.sequence_length "
                "(128)"},
        BadSpec{"NoTextPath",
                [](v1::JobSpec* s) {
                  s->clear_model();
                  s->mutable_dataset()->mutable_text()->set_sequence_length(7);
                },
                "model: is missing, expected one of mlp, cnn, bi_rnn, bi_gru, bi_lstm, bert, layers\n"
                "dataset.text.path: is missing: the folder with train.tokens and test.tokens; make "
                "it with drover data tokenize\n"
                "dataset.text.sequence_length: is 7, expected 8 to 4096"},
        BadSpec{"TextPathWithNewline",
                [](v1::JobSpec* s) {
                  s->clear_model();
                  s->mutable_dataset()->mutable_text()->set_path("/a\n");
                  s->mutable_dataset()->mutable_text()->set_sequence_length(4097);
                },
                "model: is missing, expected one of mlp, cnn, bi_rnn, bi_gru, bi_lstm, bert, layers\n"
                "dataset.text.path: is \"/a\\x0a\", expected the path of a folder\n"
                "dataset.text.sequence_length: is 4097, expected 8 to 4096"},
        BadSpec{"KeepOne", [](v1::JobSpec* s) { s->mutable_checkpoint()->set_keep(1); },
                "checkpoint.keep: is 1, expected 2 to 10000"},
        BadSpec{"TargetWithoutMetric",
                [](v1::JobSpec* s) { s->mutable_target()->set_at_least(1.5); },
                "target.metric: is missing, expected accuracy\n"
                "target.at_least: is 1.5, expected a share of the samples, 0 < at_least <= 1"},
        BadSpec{"NoTimeAtAll", [](v1::JobSpec* s) { s->mutable_deadline(); },
                "deadline: is 0s, expected 1ms to 315360000s"},
        BadSpec{"DeadlineOverflow",
                [](v1::JobSpec* s) { s->mutable_deadline()->set_seconds(INT64_MAX); },
                "deadline: is 9223372036854775807s, expected 1ms to 315360000s"},
        BadSpec{"NegativeTimeToLive",
                [](v1::JobSpec* s) { s->mutable_ttl_after_end()->set_seconds(-1); },
                "ttl_after_end: is -1s, expected 1ms to 315360000s"},
        BadSpec{"NoWorkers", [](v1::JobSpec* s) { s->set_max_workers(0); },
                "max_workers: is 0, expected 1 to 1024"},
        BadSpec{"TooManyWorkers", [](v1::JobSpec* s) { s->set_min_workers(1025); },
                "min_workers: is 1025, expected 1 to 1024"},
        BadSpec{"MoreWorkersThanItMayHave",
                [](v1::JobSpec* s) {
                  s->set_min_workers(3);
                  s->set_max_workers(2);
                },
                "min_workers: is 3, but max_workers is 2"},
        BadSpec{"LabelKey", [](v1::JobSpec* s) { (*s->mutable_labels())["a b"] = "c"; },
                "labels: has the key \"a b\", expected [A-Za-z0-9_./-]{1,63}"},
        BadSpec{"LabelValue", [](v1::JobSpec* s) { (*s->mutable_labels())["a"] = "c\x1b"; },
                "labels.a: is \"c\\x1b\", expected at most 255 printable bytes"},
        BadSpec{"UnknownEnum",
                [](v1::JobSpec* s) {
                  s->mutable_schedule()->set_decay(static_cast<v1::ScheduleSpec::Decay>(99));
                },
                "schedule.decay: is number 99, which this version does not know"}),
    [](const auto& test) { return test.param.what; });

TEST(PlanJobTest, AFieldOfANewerClientIsNotIgnored) {
  v1::JobSpec spec = SmallestSpec();
  spec.mutable_optimizer()
      ->mutable_lamb()
      ->GetReflection()
      ->MutableUnknownFields(spec.mutable_optimizer()->mutable_lamb())
      ->AddVarint(500, 1);

  EXPECT_EQ(Violations(spec),
            "optimizer.lamb: has field number 500, which this version does not know");
}

TEST(WithDefaultsTest, PlansToTheSamePlanAndHasNothingLeftToFillIn) {
  for (const char* rule :
       {"sgd {}", "momentum {}", "adam {}", "adamw {}", "lamb {}", "lars {}",
        "sgd { no_decay: \"none\" } groups { match: \"a\" decay: true }",
        "lamb {} groups { match: \"^a$\" adapt: false weight_decay: 0.5 learning_rate_scale: 2 }",
        "adam {} lookahead {}", "lamb {} lookahead { k: 6 alpha: 0.25 }",
        "lars { nesterov: true always_adapt: true no_adapt: \"none\" no_decay: \"b\" }"}) {
    v1::JobSpec spec = SmallestSpec();
    v1::OptimizerSpec optimizer;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(rule, &optimizer));
    *spec.mutable_optimizer() = optimizer;
    const JobPlan plan = PlanJob(spec).value();

    const v1::JobSpec full = WithDefaults(spec, plan);
    const Result<JobPlan> again = PlanJob(full);

    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again.value().optimizer, plan.optimizer) << rule;
    EXPECT_EQ(again.value().phases[0].schedule, plan.phases[0].schedule);
    EXPECT_EQ(again.value().fraction_bits, plan.fraction_bits);
    EXPECT_EQ(WithDefaults(full, again.value()).SerializeAsString(), full.SerializeAsString());
  }
}

TEST(PlanJobTest, EveryRuleWithDecayHasAListOfTensorsWithout) {
  for (const char* rule : {"sgd", "momentum", "nag", "adagrad", "rmsprop", "adam", "adamw", "radam",
                           "nadam", "lion", "adabound", "lamb", "lars"}) {
    v1::JobSpec spec = SmallestSpec();
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        std::string(rule) + " { weight_decay: 0.5 no_decay: \"scale\" }",
        spec.mutable_optimizer()));
    const OptimizerSettings settings = PlanJob(spec).value().optimizer;
    EXPECT_TRUE(GroupOf(settings, "bias").decay) << rule;
    EXPECT_FALSE(GroupOf(settings, "scale").decay) << rule;
  }
}

TEST(PlanJobTest, GroupsAreReadInOrder) {
  v1::JobSpec spec = SmallestSpec();
  ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(R"(
    optimizer { groups { match: "^head" learning_rate_scale: 10 }
                groups { match: "emb" decay: false adapt: false }
                groups { match: "out" weight_decay: 0.5 } })",
                                                            &spec));

  const std::vector<ParameterGroup> groups = PlanJob(spec).value().optimizer.groups;

  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].match.text(), "^head");
  EXPECT_EQ(groups[0].learning_rate_scale, 10.0);
  EXPECT_EQ(groups[0].decay, std::nullopt);
  EXPECT_EQ(groups[1].decay, false);
  EXPECT_EQ(groups[1].adapt, false);
  EXPECT_EQ(groups[2].weight_decay, 0.5);
}

TEST(PlanJobTest, GroupsThatCannotMeanAnythingAreNamed) {
  v1::JobSpec spec = SmallestSpec();
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    momentum_classic {}
    groups { match: "(" decay: false }
    groups { match: "a" }
    groups { match: "b" decay: false }
    groups { match: "c" adapt: false }
    groups { match: "d" learning_rate_scale: -1 })",
                                                            spec.mutable_optimizer()));
  EXPECT_EQ(Violations(spec),
            "optimizer.groups[0].match: is \"(\", expected a regular expression: \"missing ): (\"\n"
            "optimizer.groups[1]: sets nothing for \"a\", expected decay, weight_decay, adapt or "
            "learning_rate_scale\n"
            "optimizer.groups[2]: is about weight decay, which rule momentum_classic has not\n"
            "optimizer.groups[3].adapt: is set, but rule momentum_classic has no trust ratio\n"
            "optimizer.groups[4].learning_rate_scale: is -1, expected 0 <= learning_rate_scale <= "
            "1e30");

  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "sgd {} groups { match: \"a\" decay: false weight_decay: 1 }", spec.mutable_optimizer()));
  EXPECT_EQ(Violations(spec),
            "optimizer.groups[0]: has decay: false and a weight_decay, expected one of them");

  for (int i = 0; i < 64; ++i)
    spec.mutable_optimizer()->add_groups()->CopyFrom(spec.optimizer().groups(0));
  EXPECT_THAT(Violations(spec), HasSubstr("optimizer.groups: is 65, expected 0 to 64"));
}

TEST(PlanJobTest, AdaBoundIsMeantForTheHighestRateOfItsSchedule) {
  v1::JobSpec spec = SmallestSpec();
  v1::AdaBound& adabound = *spec.mutable_optimizer()->mutable_adabound();
  spec.mutable_schedule()->set_peak(0.25);
  spec.mutable_schedule()->set_lr_scaling(v1::ScheduleSpec::LR_SCALING_LINEAR);
  spec.mutable_schedule()->set_base_batch(spec.batch() / 2);
  EXPECT_EQ(PlanJob(spec).value().optimizer.base_learning_rate, 0.5);

  adabound.set_base_learning_rate(0.125);
  EXPECT_EQ(PlanJob(spec).value().optimizer.base_learning_rate, 0.125);

  adabound.set_base_learning_rate(1e-44);
  adabound.set_gamma(9e-13);
  EXPECT_EQ(Violations(spec),
            "optimizer.adabound.gamma: is 9e-13, expected 1e-12 <= gamma <= 1e30\n"
            "optimizer.adabound.base_learning_rate: is 1e-44, expected 1e-12 <= base_learning_rate "
            "<= 1e30");
}

TEST(PlanJobTest, LookaheadGoesAroundAnyRule) {
  v1::JobSpec spec = SmallestSpec();
  EXPECT_EQ(PlanJob(spec).value().optimizer.lookahead_every, 0);
  v1::Lookahead& lookahead = *spec.mutable_optimizer()->mutable_lookahead();
  EXPECT_EQ(PlanJob(spec).value().optimizer.lookahead_every, 5);
  EXPECT_EQ(PlanJob(spec).value().optimizer.lookahead_alpha, 0.5);
  EXPECT_EQ(StateOf(PlanJob(spec).value().optimizer).name(), "lookahead_lamb");

  lookahead.set_k(0);
  lookahead.set_alpha(1.5);
  EXPECT_EQ(Violations(spec),
            "optimizer.lookahead.k: is 0, expected 1 to 2147483648\n"
            "optimizer.lookahead.alpha: is 1.5, expected 0 <= alpha <= 1");

  spec.mutable_optimizer()->clear_lamb();
  lookahead.clear_k();
  lookahead.clear_alpha();
  EXPECT_THAT(Violations(spec), HasSubstr("optimizer: is missing, expected one of sgd"));
}

TEST(PlanJobTest, LarsAdaptsWhatIsDecayedUnlessToldOtherwise) {
  v1::JobSpec spec = SmallestSpec();
  spec.mutable_optimizer()->mutable_lars();
  EXPECT_EQ(PlanJob(spec).value().optimizer, DefaultSettings(Rule::kLars));

  v1::Lars& lars = *spec.mutable_optimizer()->mutable_lars();
  lars.add_no_decay("scale");
  EXPECT_EQ(PlanJob(spec).value().optimizer.no_adapt, std::vector<std::string>{"scale"});
  lars.add_no_adapt("bias");
  lars.set_always_adapt(true);
  lars.set_trust_coefficient(0.02);
  const OptimizerSettings settings = PlanJob(spec).value().optimizer;
  EXPECT_EQ(settings.no_adapt, std::vector<std::string>{"bias"});
  EXPECT_EQ(settings.adapt, Adapt::kAlways);
  EXPECT_EQ(settings.trust_coefficient, 0.02);

  lars.set_trust_coefficient(0);
  EXPECT_EQ(Violations(spec),
            "optimizer.lars.trust_coefficient: is 0, expected 0 < trust_coefficient <= 1e30");
}

// Sizes by the papers that spec_bert.cc names.
TEST(WithDefaultsTest, WritesOutTheSizesOfABert) {
  const auto sizes = [](v1::Bert::Size size) {
    v1::JobSpec spec = SmallestSpec();
    spec.mutable_dataset()->mutable_text()->set_path("/a");
    spec.mutable_model()->mutable_bert()->set_size(size);
    spec.mutable_model()->mutable_bert()->set_positions(256);
    const v1::JobSpec full = WithDefaults(spec, PlanJob(spec).value());
    const v1::Bert& bert = full.model().bert();
    EXPECT_EQ(bert.positions(), 256);
    EXPECT_EQ(bert.dropout(), 0.1);
    EXPECT_EQ(bert.vocabulary_multiple(), 1);
    EXPECT_EQ(WithDefaults(full, PlanJob(full).value()).SerializeAsString(),
              full.SerializeAsString());
    return std::vector<int64_t>{bert.layers(), bert.hidden(), bert.heads(), bert.intermediate()};
  };

  EXPECT_EQ(sizes(v1::Bert::SIZE_TINY), (std::vector<int64_t>{2, 128, 2, 512}));
  EXPECT_EQ(sizes(v1::Bert::SIZE_MINI), (std::vector<int64_t>{4, 256, 4, 1024}));
  EXPECT_EQ(sizes(v1::Bert::SIZE_BASE), (std::vector<int64_t>{12, 768, 12, 3072}));
  EXPECT_EQ(sizes(v1::Bert::SIZE_LARGE), (std::vector<int64_t>{24, 1024, 16, 4096}));
}

TEST(WithDefaultsTest, KeepsEverySchedule) {
  for (const char* schedule :
       {"decay: DECAY_LINEAR warmup_fraction: 0.1", "decay: DECAY_POLYNOMIAL end: 0.001",
        "decay: DECAY_COSINE decay_origin: DECAY_ORIGIN_STEP_ZERO",
        "decay: DECAY_STEP every_passes: 2", "decay: DECAY_EXPONENTIAL every_steps: 3 factor: 0.9",
        "decay: DECAY_INVERSE_TIME every_steps: 7", "decay: DECAY_INVERSE_SQRT every_steps: 7",
        "decay: DECAY_PLATEAU patience: 0"}) {
    v1::JobSpec spec = SmallestSpec();
    spec.mutable_evaluation()->set_every_steps(5);
    ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(
        std::string("schedule {") + schedule + "}", &spec));
    const JobPlan plan = PlanJob(spec).value();

    const v1::JobSpec full = WithDefaults(spec, plan);

    ASSERT_TRUE(PlanJob(full).ok()) << schedule << PlanJob(full).status().message();
    EXPECT_EQ(PlanJob(full).value().phases[0].schedule, plan.phases[0].schedule) << schedule;
    EXPECT_EQ(WithDefaults(full, plan).SerializeAsString(), full.SerializeAsString());
  }
}

TEST(WithDefaultsTest, KeepsEveryDialectOfLamb) {
  for (const char* preset : {"tfa", "apex", "nvlamb", "nvlamb_picture", "paper_v3", "ymcui",
                             "cybertron", "deepspeed", "lambc"}) {
    v1::JobSpec spec = SmallestSpec();
    spec.mutable_optimizer()->mutable_lamb()->set_preset(preset);
    const JobPlan plan = PlanJob(spec).value();

    const v1::JobSpec full = WithDefaults(spec, plan);

    EXPECT_EQ(plan.optimizer, LambPreset(preset).value());
    EXPECT_EQ(PlanJob(full).value().optimizer, plan.optimizer) << preset;
  }
}

}  // namespace
}  // namespace drover
