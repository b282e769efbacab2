#include "server/optim/step_scalars.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace drover {
namespace {

using ::testing::HasSubstr;

constexpr GroupSettings kAll{true, true};
constexpr GroupSettings kExcluded{false, false};

// Python: 1 - 0.999 = 0.0010000000000000009; numpy.float32(1) - numpy.float32(0.999) is
// 0.0009999871, 1.3e-5 off.
TEST(StepScalarsTest, ComplementsAreFormedInDouble) {
  const StepScalars s = ComputeStepScalars(DefaultSettings(Rule::kAdam), kAll, 1, 1e-3, 1.0);

  EXPECT_EQ(s.gain2, 0.001f);
  EXPECT_NE(s.gain2, 1.0f - 0.999f);
}

TEST(StepScalarsTest, BiasCorrectionCountsUpdatesFromOne) {
  const OptimizerSettings adam = DefaultSettings(Rule::kAdam);
  const StepScalars first = ComputeStepScalars(adam, kAll, 1, 1e-3, 1.0);
  EXPECT_EQ(first.inv_bias1, 10.0f);
  EXPECT_EQ(first.inv_bias2, 1000.0f);

  const StepScalars third = ComputeStepScalars(adam, kAll, 3, 1e-3, 1.0);
  EXPECT_FLOAT_EQ(third.inv_bias1, static_cast<float>(1.0 / (1.0 - 0.729)));

  const StepScalars late = ComputeStepScalars(adam, kAll, 1'000'000'000'000, 1e-3, 1.0);
  EXPECT_EQ(late.inv_bias1, 1.0f);
  EXPECT_EQ(late.inv_bias2, 1.0f);
}

TEST(StepScalarsTest, TheFirstMomentumUpdateIsNotDampened) {
  OptimizerSettings momentum = DefaultSettings(Rule::kMomentum);
  momentum.dampening = 0.5;

  EXPECT_EQ(ComputeStepScalars(momentum, kAll, 1, 0.1, 1.0).gain1, 1.0f);
  EXPECT_EQ(ComputeStepScalars(momentum, kAll, 2, 0.1, 1.0).gain1, 0.5f);
}

TEST(StepScalarsTest, DecayGoesWhereTheRuleWantsItAndNowhereForExcludedTensors) {
  struct Place {
    Rule rule;
    DecayMode mode;
    float StepScalars::*field;
    float value;
  };
  const std::vector<Place> places = {
      {Rule::kSgd, DecayMode::kInUpdate, &StepScalars::decay_l2, 0.5f},
      {Rule::kMomentum, DecayMode::kInUpdate, &StepScalars::decay_l2, 0.5f},
      {Rule::kAdam, DecayMode::kInUpdate, &StepScalars::decay_l2, 0.5f},
      {Rule::kAdamW, DecayMode::kL2, &StepScalars::decay_in_update, 0.5f},
      {Rule::kLamb, DecayMode::kInUpdate, &StepScalars::decay_in_update, 0.5f},
      {Rule::kLamb, DecayMode::kL2, &StepScalars::decay_l2, 0.5f},
      {Rule::kLamb, DecayMode::kDecoupledBefore, &StepScalars::decay_before, 0.125f},
  };
  for (const Place& place : places) {
    OptimizerSettings settings = DefaultSettings(place.rule);
    settings.weight_decay = 0.5;
    settings.decay_mode = place.mode;

    const StepScalars s = ComputeStepScalars(settings, kAll, 1, /*learning_rate=*/0.25, 1.0);
    const StepScalars none = ComputeStepScalars(settings, kExcluded, 1, 0.25, 1.0);

    EXPECT_EQ(s.*place.field, place.value) << InfoOf(place.rule).name;
    EXPECT_EQ(s.decay_l2 + s.decay_in_update + s.decay_before, place.value);
    EXPECT_EQ(none.decay_l2 + none.decay_in_update + none.decay_before, 0.0f);
  }
}

// Wherever the rate of a rule is: as if the whole schedule were that many times as high.
TEST(StepScalarsTest, AGroupScalesTheLearningRate) {
  for (const RuleInfo& info : kRules) {
    OptimizerSettings settings = DefaultSettings(info.rule);
    settings.decay_mode = DecayMode::kDecoupledBefore;
    const GroupSettings scaled{true, true, 0.5, {}};
    EXPECT_EQ(ToFloats(ComputeStepScalars(settings, scaled, 3, 0.25, 1.0)),
              ToFloats(ComputeStepScalars(settings, kAll, 3, 0.125, 1.0)))
        << info.name;
    EXPECT_EQ(UpdateScale(settings, scaled, 3, 0.25, 1.5),
              UpdateScale(settings, kAll, 3, 0.125, 1.5))
        << info.name;
  }
}

TEST(StepScalarsTest, AGroupMayHaveADecayOfItsOwn) {
  const OptimizerSettings adamw = DefaultSettings(Rule::kAdamW);
  EXPECT_EQ(ComputeStepScalars(adamw, {true, false, 1.0, 0.5}, 1, 1e-3, 1.0).decay_in_update, 0.5f);
  EXPECT_EQ(ComputeStepScalars(adamw, {false, false, 1.0, 0.5}, 1, 1e-3, 1.0).decay_in_update,
            0.0f);
}

TEST(StepScalarsTest, EpsilonIsInOnePlace) {
  OptimizerSettings lamb = DefaultSettings(Rule::kLamb);
  EXPECT_EQ(ComputeStepScalars(lamb, kAll, 1, 1e-3, 1.0).eps_outside, 1e-6f);
  EXPECT_EQ(ComputeStepScalars(lamb, kAll, 1, 1e-3, 1.0).eps_inside, 0.0f);

  lamb.eps_mode = EpsMode::kInsideSqrt;
  EXPECT_EQ(ComputeStepScalars(lamb, kAll, 1, 1e-3, 1.0).eps_outside, 0.0f);
  EXPECT_EQ(ComputeStepScalars(lamb, kAll, 1, 1e-3, 1.0).eps_inside, 1e-6f);
}

TEST(StepScalarsTest, BiasCorrectionInTheLearningRateLeavesTheMomentsAlone) {
  const OptimizerSettings deepspeed = LambPreset("deepspeed").value();
  const StepScalars s = ComputeStepScalars(deepspeed, kAll, 1, 1e-3, 1.0);

  EXPECT_EQ(s.inv_bias1, 1.0f);
  EXPECT_EQ(s.inv_bias2, 1.0f);
  // sqrt(1 - 0.999) / (1 - 0.9) = 0.31623 in the first update.
  EXPECT_NEAR(UpdateScale(deepspeed, kAll, 1, 1.0, 2.0), 2.0 * std::sqrt(0.001) / 0.1, 1e-12);
  EXPECT_EQ(UpdateScale(DefaultSettings(Rule::kLamb), kAll, 1, 0.5, 2.0), 1.0);
}

TEST(StepScalarsTest, FieldsSurviveTheWireAndNothingElseDoes) {
  const StepScalars s = ComputeStepScalars(DefaultSettings(Rule::kLamb), kAll, 7, 1e-3, 0.25);
  const auto floats = ToFloats(s);

  const Result<StepScalars> back = StepScalarsFromFloats(floats);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(ToFloats(back.value()), floats);
  EXPECT_EQ(floats[0], 0.25f);  // clip is sent first.

  const Result<StepScalars> short_one = StepScalarsFromFloats(std::span(floats).first(3));
  EXPECT_THAT(short_one.status().message(), HasSubstr("3 step scalars came, expected 16"));

  auto spoiled = floats;
  spoiled[4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(StepScalarsFromFloats(spoiled).status().message(), HasSubstr("step scalar 4"));
}

TEST(ClipFactorTest, DividesByTheNormOnlyAboveTheLimit) {
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  settings.max_grad_norm = 1.0;

  EXPECT_EQ(ClipFactor(settings, 0.0), 1.0);
  EXPECT_EQ(ClipFactor(settings, 1.0), 1.0);
  EXPECT_EQ(ClipFactor(settings, 4.0), 0.25);

  settings.max_grad_norm = 2.0;
  settings.clip_eps = 1.0;
  EXPECT_EQ(ClipFactor(settings, 7.0), 0.25);
}

TEST(ClipFactorTest, ZeroIsOff) {
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  settings.max_grad_norm = 0.0;

  EXPECT_EQ(ClipFactor(settings, 1e30), 1.0);
}

}  // namespace
}  // namespace drover
