#include "server/optim/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace drover {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

OptimizerSettings Preset(std::string_view name) { return LambPreset(name).value(); }

TEST(OptimizerSettingsTest, DefaultsAndPresetsAreValid) {
  for (const RuleInfo& info : kRules) {
    const OptimizerSettings settings = DefaultSettings(info.rule);
    EXPECT_EQ(settings.rule, info.rule);
    EXPECT_TRUE(Validate(settings).ok()) << info.name;
  }
  for (const char* name : {"tfa", "apex", "nvlamb", "nvlamb_picture", "paper_v3", "ymcui",
                           "cybertron", "deepspeed", "lambc"}) {
    EXPECT_EQ(Preset(name).rule, Rule::kLamb);
    EXPECT_TRUE(Validate(Preset(name)).ok()) << name;
  }
}

TEST(OptimizerSettingsTest, TheDefaultOfLambIsTensorFlowAddons) {
  EXPECT_EQ(DefaultSettings(Rule::kLamb), Preset("tfa"));
}

TEST(OptimizerSettingsTest, PresetsDifferFromEachOtherAsTheirSourcesDo) {
  OptimizerSettings apex = Preset("apex");
  apex.adapt = Adapt::kAlways;
  EXPECT_EQ(apex, Preset("nvlamb"));
  apex.eps_mode = EpsMode::kInsideSqrt;
  EXPECT_EQ(apex, Preset("nvlamb_picture"));

  OptimizerSettings lambc = Preset("apex");
  lambc.ratio_max = 1.0;
  EXPECT_EQ(lambc, Preset("lambc"));

  OptimizerSettings cybertron = Preset("ymcui");
  cybertron.phi_max = 10.0;
  EXPECT_EQ(cybertron, Preset("cybertron"));
}

TEST(OptimizerSettingsTest, DeepSpeedLimitsTheRatioAndCorrectsTheLearningRate) {
  const OptimizerSettings deepspeed = Preset("deepspeed");

  EXPECT_EQ(deepspeed.bias_correction, BiasCorrection::kInLr);
  EXPECT_EQ(deepspeed.ratio_min, 0.01);
  EXPECT_EQ(deepspeed.ratio_max, 10.0);
  EXPECT_EQ(deepspeed.eps, 1e-8);
}

TEST(OptimizerSettingsTest, AnUnknownPresetIsAnsweredWithTheList) {
  const Result<OptimizerSettings> preset = LambPreset("nvLAMB");

  ASSERT_FALSE(preset.ok());
  EXPECT_EQ(preset.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(preset.status().message(), HasSubstr("\"nvLAMB\""));
  EXPECT_THAT(preset.status().message(), HasSubstr("nvlamb_picture"));
}

struct BadField {
  const char* name;
  double OptimizerSettings::*field;
  std::vector<double> values;  // Besides NaN.
};

TEST(OptimizerSettingsTest, ValuesOutOfRangeAreRefusedByName) {
  const std::vector<BadField> fields = {
      {"momentum", &OptimizerSettings::momentum, {-0.1, 1.0, kInfinity}},
      {"dampening", &OptimizerSettings::dampening, {-0.1, 1.1, kInfinity}},
      {"beta1", &OptimizerSettings::beta1, {-0.1, 1.0, kInfinity}},
      {"beta2", &OptimizerSettings::beta2, {-0.1, 1.0, kInfinity}},
      {"eps", &OptimizerSettings::eps, {-1e-6, 0.0, 1e-40, kInfinity}},
      {"weight_decay", &OptimizerSettings::weight_decay, {-0.01, kInfinity}},
      {"phi_min", &OptimizerSettings::phi_min, {-1.0, kInfinity}},
      {"phi_max", &OptimizerSettings::phi_max, {-1.0, 0.0}},
      {"ratio_min", &OptimizerSettings::ratio_min, {-1.0, kInfinity}},
      {"ratio_max", &OptimizerSettings::ratio_max, {-1.0, 0.0}},
      {"ratio_eps", &OptimizerSettings::ratio_eps, {-1.0, kInfinity}},
      {"max_grad_norm", &OptimizerSettings::max_grad_norm, {-1.0, kInfinity}},
      {"clip_eps", &OptimizerSettings::clip_eps, {-1.0, kInfinity}},
  };
  for (const BadField& bad : fields) {
    std::vector<double> values = bad.values;
    values.push_back(std::nan(""));
    for (const double value : values) {
      OptimizerSettings settings = DefaultSettings(Rule::kLamb);
      settings.*bad.field = value;

      const Status status = Validate(settings);

      EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad.name << " = " << value;
      EXPECT_THAT(status.message(), HasSubstr(std::string("optimizer ") + bad.name + " is "));
    }
  }
}

TEST(OptimizerSettingsTest, LimitsMustNotCross) {
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  settings.ratio_min = 2.0;
  settings.ratio_max = 1.0;
  EXPECT_THAT(Validate(settings).message(), HasSubstr("ratio_max"));

  settings = DefaultSettings(Rule::kLamb);
  settings.phi_min = 2.0;
  settings.phi_max = 1.0;
  EXPECT_THAT(Validate(settings).message(), HasSubstr("phi_max"));
}

TEST(OptimizerSettingsTest, AnEmptyNameWouldExcludeEveryTensorAndIsRefused) {
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  settings.no_decay = {"bias", ""};
  EXPECT_THAT(Validate(settings).message(), HasSubstr("no_decay"));

  settings = DefaultSettings(Rule::kLamb);
  settings.no_adapt = {""};
  EXPECT_THAT(Validate(settings).message(), HasSubstr("no_adapt"));
}

TEST(GroupTest, BiasesAndNormalisationsAreExcludedByDefault) {
  const OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  const GroupSettings excluded{false, false};
  const GroupSettings included{true, true};

  EXPECT_EQ(GroupOf(settings, "layer1/kernel"), included);
  EXPECT_EQ(GroupOf(settings, "layer1/bias"), excluded);
  EXPECT_EQ(GroupOf(settings, "encoder.LayerNorm.weight"), excluded);
  EXPECT_EQ(GroupOf(settings, "norm/gamma"), excluded);
  EXPECT_EQ(GroupOf(settings, "layer1/Bias"), included);
}

TEST(GroupTest, RulesWithoutTrustRatioAreNeverAdapted) {
  EXPECT_EQ(GroupOf(DefaultSettings(Rule::kAdamW), "w"), (GroupSettings{true, false}));
  EXPECT_EQ(GroupOf(DefaultSettings(Rule::kSgd), "w"), (GroupSettings{false, false}));
}

TEST(GroupTest, AdaptModesDecideForTensorsOutsideTheList) {
  OptimizerSettings settings = Preset("nvlamb");  // Lists: biases are not decayed; all adapt.
  EXPECT_EQ(GroupOf(settings, "bias"), (GroupSettings{false, true}));

  settings.adapt = Adapt::kIfDecay;
  EXPECT_EQ(GroupOf(settings, "bias"), (GroupSettings{false, false}));
  EXPECT_EQ(GroupOf(settings, "w"), (GroupSettings{true, true}));

  settings.adapt = Adapt::kNever;
  EXPECT_EQ(GroupOf(settings, "w"), (GroupSettings{true, false}));
}

TEST(GroupTest, ApexWithoutDecayIsPlainAdamAndTensorFlowAddonsIsNot) {
  OptimizerSettings apex = Preset("apex");
  apex.weight_decay = 0.0;
  EXPECT_EQ(GroupOf(apex, "w"), (GroupSettings{false, false}));

  OptimizerSettings tfa = Preset("tfa");
  tfa.weight_decay = 0.0;
  EXPECT_EQ(GroupOf(tfa, "w"), (GroupSettings{false, true}));
}

ParameterGroup Apart(const char* pattern) {
  return {NamePattern::Compile(pattern).value(), {}, {}, {}, 1.0};
}

TEST(GroupTest, TheFirstPatternThatMatchesCounts) {
  OptimizerSettings settings = DefaultSettings(Rule::kAdamW);
  settings.groups = {Apart("^head"), Apart("weight$")};
  settings.groups[0].learning_rate_scale = 10.0;
  settings.groups[1].learning_rate_scale = 0.5;

  EXPECT_EQ(GroupOf(settings, "head.weight").learning_rate_scale, 10.0);
  EXPECT_EQ(GroupOf(settings, "body.weight").learning_rate_scale, 0.5);
  EXPECT_EQ(GroupOf(settings, "body.kernel"), (GroupSettings{true, false}));
  EXPECT_EQ(GroupOf(settings, "head.bias"), (GroupSettings{false, false, 10.0, {}}))
      << "what a group does not say is as for the others";
}

TEST(GroupTest, GroupsGoBeforeTheLists) {
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  settings.groups = {Apart("decayed"), Apart("own"), Apart("bare"), Apart("adapted"),
                     Apart("still")};
  settings.groups[0].decay = true;
  settings.groups[1].weight_decay = 0.5;
  settings.groups[2].decay = false;
  settings.groups[3].adapt = true;
  settings.groups[4].adapt = false;

  EXPECT_EQ(GroupOf(settings, "decayed.bias"), (GroupSettings{true, false}));
  EXPECT_EQ(GroupOf(settings, "own.bias"), (GroupSettings{true, false, 1.0, 0.5}));
  EXPECT_EQ(GroupOf(settings, "bare.weight"), (GroupSettings{false, true}));
  EXPECT_EQ(GroupOf(settings, "adapted.bias"), (GroupSettings{false, true}));
  EXPECT_EQ(GroupOf(settings, "still.weight"), (GroupSettings{true, false}));

  settings.groups[1].weight_decay = 0.0;
  EXPECT_EQ(GroupOf(settings, "own.weight"), (GroupSettings{false, true}));
  settings.adapt = Adapt::kIfDecay;
  EXPECT_EQ(GroupOf(settings, "own.weight"), (GroupSettings{false, false}));
  EXPECT_EQ(GroupOf(settings, "adapted.bias"), (GroupSettings{false, true}));
  settings.rule = Rule::kAdamW;
  EXPECT_FALSE(GroupOf(settings, "adapted.bias").adapt);
}

TEST(GroupTest, ADecayOfItsOwnWorksBesideNone) {
  OptimizerSettings settings = DefaultSettings(Rule::kSgd);
  settings.groups = {Apart("head")};
  settings.groups[0].weight_decay = 0.25;

  EXPECT_EQ(WeightDecayOf(settings, GroupOf(settings, "head.weight")), 0.25);
  EXPECT_EQ(WeightDecayOf(settings, GroupOf(settings, "body.weight")), 0.0);
}

TEST(GroupTest, EachMustApplyToATensor) {
  const std::vector<std::string> tensors = {"fc1.weight", "fc1.bias", "fc2.weight"};
  OptimizerSettings settings = DefaultSettings(Rule::kSgd);
  settings.groups = {Apart("fc2"), Apart("fc")};
  EXPECT_TRUE(CheckGroupsApply(settings, tensors).ok());

  settings.groups.push_back(Apart("weight"));
  EXPECT_EQ(CheckGroupsApply(settings, tensors).message(),
            "optimizer.groups[2].match: \"weight\" matches only tensors that a group before it "
            "matches; the tensors are fc1.weight, fc1.bias, fc2.weight");

  settings.groups = {Apart("conv")};
  EXPECT_EQ(
      CheckGroupsApply(settings, std::vector<std::string>(10, "x")).message(),
      "optimizer.groups[0].match: \"conv\" matches no tensor of the model; the tensors are x, "
      "x, x, x, x, x, x, x, ...");
}

TEST(ValidateTest, NumbersOfGroupsAreFinite) {
  OptimizerSettings settings = DefaultSettings(Rule::kSgd);
  settings.groups = {Apart("a")};
  settings.groups[0].learning_rate_scale = -1.0;
  EXPECT_THAT(Validate(settings).message(), HasSubstr("learning_rate_scale"));
  settings.groups[0].learning_rate_scale = 1.0;
  settings.groups[0].weight_decay = std::nan("");
  EXPECT_THAT(Validate(settings).message(), HasSubstr("weight_decay"));
}

}  // namespace
}  // namespace drover
