#include "server/spec.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/server/smallest_spec.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
