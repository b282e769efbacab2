// Properties of whole updates that hold for any data. Each was confirmed on a float64 reference
// before it was asked of the passes; `==` where the property is exact in float32 too.

#include "server/optim/whole_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "common/base/philox.h"

namespace drover {
namespace {

using Gradients = std::vector<std::vector<float>>;

constexpr double kRate = 0.01;

// Two tensors, one of more than a block. No zero: some properties need every element to move.
const std::vector<size_t> kTensorSizes = {70000, 37};

std::vector<float> Values(size_t size, uint64_t stream, float scale) {
  std::vector<float> values;
  for (size_t i = 0; i < size; ++i) {
    const auto words = Philox(/*seed=*/3, stream, i);
    const float value = scale * (UnitFloat(words[0]) + 0.03125f);
    values.push_back(words[1] % 2 == 0 ? value : -value);
  }
  return values;
}

Gradients GradientsOf(uint64_t update, float scale) {
  Gradients gradients;
  for (size_t i = 0; i < kTensorSizes.size(); ++i) {
    gradients.push_back(Values(kTensorSizes[i], 100 + 10 * update + i, scale));
  }
  return gradients;
}

WholeModel ModelOf(const OptimizerSettings& settings, float weight_scale = 1.0f,
                   Isa isa = BestIsa()) {
  WholeModel model(settings, isa);
  for (size_t i = 0; i < kTensorSizes.size(); ++i) {
    model.AddTensor(Values(kTensorSizes[i], i, weight_scale),
                    MakeGroup(settings, /*may_decay=*/true, /*may_adapt=*/true));
  }
  return model;
}

// The model after three updates.
WholeModel Trained(const OptimizerSettings& settings, float gradient_scale = 0.25f,
                   float weight_scale = 1.0f, Isa isa = BestIsa()) {
  WholeModel model = ModelOf(settings, weight_scale, isa);
  for (uint64_t update = 0; update < 3; ++update) {
    model.Update(kRate, GradientsOf(update, gradient_scale));
  }
  return model;
}

void ExpectSameWeights(const WholeModel& a, const WholeModel& b) {
  for (size_t i = 0; i < a.tensor_count(); ++i) EXPECT_EQ(a.tensor(i).weight, b.tensor(i).weight);
}

void ExpectDifferentWeights(const WholeModel& a, const WholeModel& b) {
  EXPECT_NE(a.tensor(0).weight, b.tensor(0).weight);
}

double NormOf(const std::vector<float>& values) {
  double squares = 0.0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares);
}

double DistanceBetween(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - b[i];
    squares += difference * difference;
  }
  return std::sqrt(squares);
}

OptimizerSettings Preset(std::string_view name) { return LambPreset(name).value(); }

TEST(WholeModelTest, AllBuildsGiveTheSameBits) {
  for (const RuleInfo& info : kRules) {
    OptimizerSettings settings = DefaultSettings(info.rule);
    settings.weight_decay = 0.01;
    settings.max_grad_norm = 1.0;
    const WholeModel generic = Trained(settings, 0.25f, 1.0f, Isa::kGeneric);
    for (const Isa isa : RunnableIsas()) {
      ExpectSameWeights(Trained(settings, 0.25f, 1.0f, isa), generic);
    }
  }
}

TEST(WholeModelTest, LambThatNeverAdaptsIsAdamW) {
  OptimizerSettings adamw = DefaultSettings(Rule::kAdamW);
  OptimizerSettings lamb = DefaultSettings(Rule::kLamb);
  lamb.adapt = Adapt::kNever;
  adamw.eps = lamb.eps;

  ExpectSameWeights(Trained(lamb), Trained(adamw));
}

TEST(WholeModelTest, AdamWWithoutDecayIsAdam) {
  OptimizerSettings adamw = DefaultSettings(Rule::kAdamW);
  adamw.weight_decay = 0.0;

  ExpectSameWeights(Trained(adamw), Trained(DefaultSettings(Rule::kAdam)));
}

TEST(WholeModelTest, MomentumZeroIsGradientDescent) {
  OptimizerSettings momentum = DefaultSettings(Rule::kMomentum);
  momentum.momentum = 0.0;
  momentum.weight_decay = 0.01;
  OptimizerSettings sgd = DefaultSettings(Rule::kSgd);
  sgd.weight_decay = 0.01;

  ExpectSameWeights(Trained(momentum), Trained(sgd));
}

// The best single invariant of LAMB: a tensor moves by the learning rate times its own norm. Within
// the rounding of 70,000 weights to float32, 6e-8 of |w| each against a move of 1e-2 |w|.
TEST(WholeModelTest, AnAdaptedTensorMovesInProportionToItsNorm) {
  const WholeModel start = ModelOf(Preset("nvlamb_picture"));
  for (const char* name : {"tfa", "nvlamb", "nvlamb_picture", "paper_v3", "ymcui"}) {
    WholeModel model = ModelOf(Preset(name));
    model.Update(kRate, GradientsOf(0, 0.25f));
    for (size_t i = 0; i < model.tensor_count(); ++i) {
      const double moved = DistanceBetween(model.tensor(i).weight, start.tensor(i).weight);
      EXPECT_NEAR(moved / (kRate * NormOf(start.tensor(i).weight)), 1.0, 1e-5) << name;
    }
  }
}

TEST(WholeModelTest, ALimitOnTheWeightNormLimitsTheMove) {
  OptimizerSettings settings = Preset("cybertron");
  settings.phi_max = 2.0;
  const WholeModel start = ModelOf(settings);
  WholeModel model = ModelOf(settings);

  model.Update(kRate, GradientsOf(0, 0.25f));

  EXPECT_NEAR(DistanceBetween(model.tensor(0).weight, start.tensor(0).weight), kRate * 2.0, 1e-5);
}

// Powers of two move no bit of a significand. eps = 0, as it would not scale along.
TEST(WholeModelTest, AdaptiveRulesIgnoreTheScaleOfTheGradient) {
  for (const Rule rule : {Rule::kAdam, Rule::kAdamW, Rule::kLamb}) {
    OptimizerSettings settings = DefaultSettings(rule);
    settings.eps = 0.0;

    ExpectSameWeights(Trained(settings, 0.25f), Trained(settings, 16.0f));
  }
}

TEST(WholeModelTest, LambScalesWithTheWeights) {
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  settings.eps = 0.0;
  const WholeModel plain = Trained(settings);

  settings.weight_decay /= 8.0;
  const WholeModel scaled = Trained(settings, 0.25f, /*weight_scale=*/8.0f);

  for (size_t i = 0; i < plain.tensor_count(); ++i) {
    std::vector<float> expected = plain.tensor(i).weight;
    for (float& w : expected) w *= 8.0f;
    EXPECT_EQ(scaled.tensor(i).weight, expected);
  }
}

TEST(WholeModelTest, ClippedLambIgnoresTheScaleOfTheGradient) {
  const OptimizerSettings apex = Preset("apex");  // max_grad_norm 1; the norms here are above 10.

  ExpectSameWeights(Trained(apex, 0.25f), Trained(apex, 2.0f));
}

TEST(WholeModelTest, ClippingDoesNothingBelowTheLimitAndWhenOff) {
  OptimizerSettings settings = DefaultSettings(Rule::kSgd);
  const WholeModel off = Trained(settings);
  settings.max_grad_norm = 1e6;
  ExpectSameWeights(Trained(settings), off);

  settings.max_grad_norm = 1.0;
  ExpectDifferentWeights(Trained(settings), off);
}

TEST(WholeModelTest, ClippedGradientDescentMovesByTheLimit) {
  OptimizerSettings settings = DefaultSettings(Rule::kSgd);
  settings.max_grad_norm = 2.0;
  const WholeModel start = ModelOf(settings);
  WholeModel model = ModelOf(settings);

  model.Update(/*learning_rate=*/1.0, GradientsOf(0, 4.0f));

  double squares = 0.0;
  for (size_t i = 0; i < model.tensor_count(); ++i) {
    const double moved = DistanceBetween(model.tensor(i).weight, start.tensor(i).weight);
    squares += moved * moved;
  }
  EXPECT_NEAR(std::sqrt(squares), 2.0, 2e-6);
}

TEST(WholeModelTest, ApexIsTensorFlowAddonsWhileNothingIsClipped) {
  OptimizerSettings apex = Preset("apex");
  apex.no_adapt = apex.no_decay;
  const float tiny = 0x1p-12f;  // The norm of 70,037 gradients is below 1.

  ExpectSameWeights(Trained(apex, tiny), Trained(Preset("tfa"), tiny));
  ExpectDifferentWeights(Trained(apex, 1.0f), Trained(Preset("tfa"), 1.0f));
}

TEST(WholeModelTest, CybertronIsYmcuiWhileTheWeightNormIsBelowTen) {
  const float small = 0x1p-6f;  // |w| of the large tensor is 2.5; it is 160 at scale 1.

  ExpectSameWeights(Trained(Preset("cybertron"), 0.25f, small),
                    Trained(Preset("ymcui"), 0.25f, small));
  ExpectDifferentWeights(Trained(Preset("cybertron")), Trained(Preset("ymcui")));
}

// With eps and decay 0 the correction only scales u: the ratio takes it back, and DeepSpeed puts it
// into the learning rate.
TEST(WholeModelTest, DeepSpeedIsCorrectedLambUpToTheCorrectionInTheRate) {
  OptimizerSettings deepspeed = Preset("deepspeed");
  deepspeed.weight_decay = deepspeed.eps = deepspeed.ratio_min = 0.0;
  deepspeed.ratio_max = std::numeric_limits<double>::infinity();
  OptimizerSettings corrected = deepspeed;
  corrected.bias_correction = BiasCorrection::kBoth;
  const WholeModel start = ModelOf(deepspeed);
  WholeModel a = ModelOf(deepspeed);
  WholeModel b = ModelOf(corrected);

  a.Update(kRate, GradientsOf(0, 0.25f));
  b.Update(kRate * std::sqrt(0.001) / 0.1, GradientsOf(0, 0.25f));

  for (size_t i = 0; i < start.tensor_count(); ++i) {
    EXPECT_LT(DistanceBetween(a.tensor(i).weight, b.tensor(i).weight),
              1e-5 * DistanceBetween(a.tensor(i).weight, start.tensor(i).weight));
  }
}

TEST(WholeModelTest, ZeroWeightsAndZeroGradientsHaveRatioOne) {
  OptimizerSettings settings = Preset("nvlamb");
  settings.weight_decay = 0.0;
  WholeModel model(settings, BestIsa());
  const GroupSettings group = MakeGroup(settings, true, true);
  model.AddTensor({0.0f, 0.0f}, group);
  model.AddTensor({1.0f, -2.0f}, group);
  model.AddTensor({}, group);

  const std::vector<TrustRatio> ratios = model.Update(kRate, {{0.5f, -0.5f}, {0.0f, 0.0f}, {}});

  for (const TrustRatio& ratio : ratios) {
    EXPECT_EQ(ratio.ratio, 1.0);
    EXPECT_EQ(ratio.limit, RatioLimit::kZeroNorm);
  }
  EXPECT_EQ(model.tensor(1).weight, (std::vector<float>{1.0f, -2.0f}));
  EXPECT_NEAR(model.tensor(0).weight[0], -kRate, 1e-6);
}

// Kingma and Ba: in the first update every weight moves by about the learning rate.
TEST(WholeModelTest, AdamFirstMovesEveryWeightByTheLearningRate) {
  const OptimizerSettings adam = DefaultSettings(Rule::kAdam);
  const WholeModel start = ModelOf(adam);
  WholeModel model = ModelOf(adam);

  model.Update(kRate, GradientsOf(0, 0.25f));

  for (size_t i = 0; i < start.tensor(0).weight.size(); ++i) {
    const double moved = model.tensor(0).weight[i] - start.tensor(0).weight[i];
    ASSERT_NEAR(std::abs(moved), kRate, 1e-6);
  }
}

TEST(WholeModelTest, OneTensorsNormDoesNotReachAnother) {
  const OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  const GroupSettings group = MakeGroup(settings, true, true);
  WholeModel alone(settings, BestIsa());
  alone.AddTensor(Values(37, 1, 1.0f), group);
  const WholeModel start = alone;

  WholeModel both = ModelOf(settings);
  both.Update(kRate, GradientsOf(0, 0.25f));
  alone.Update(kRate, {GradientsOf(0, 0.25f)[1]});

  EXPECT_EQ(alone.tensor(0).weight, both.tensor(1).weight);
  EXPECT_NE(alone.tensor(0).weight, start.tensor(0).weight);
}

}  // namespace
}  // namespace drover
