// What the definitions of the rules imply, whatever the numbers: limits, special cases and
// invariances, on whole models with random gradients.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "common/base/philox.h"
#include "server/optim/whole_model.h"

namespace drover {
namespace {

constexpr size_t kSize = 1000;
constexpr int kUpdates = 12;
constexpr double kRate = 0.01;

std::vector<float> Noise(uint64_t stream, float scale) {
  std::vector<float> values;
  for (size_t i = 0; i < kSize; ++i) {
    values.push_back((2.0f * UnitFloat(Philox(/*seed=*/9, stream, i)[0]) - 1.0f) * scale);
  }
  return values;
}

using Rate = std::function<double(int update)>;
using Trace =
    std::vector<std::vector<float>>;  // Weights after each update, the initial ones first.

Trace Train(const OptimizerSettings& settings, const Rate& rate, float gradient_scale = 1.0f,
            const std::function<void(int, const WholeModel&)>& look = {}) {
  WholeModel model(settings, BestIsa());
  model.AddTensor(Noise(0, 1.0f), MakeGroup(settings, /*may_decay=*/true, /*may_adapt=*/true));
  Trace trace = {model.tensor(0).weight};
  for (int update = 1; update <= kUpdates; ++update) {
    model.Update(rate(update), {Noise(static_cast<uint64_t>(update), gradient_scale)});
    trace.push_back(model.tensor(0).weight);
    if (look) look(update, model);
  }
  return trace;
}

double Constant(int) { return kRate; }
double Halved(int update) { return update <= kUpdates / 2 ? kRate : kRate / 2; }

double LargestDifference(const Trace& a, const Trace& b) {
  double largest = 0;
  for (size_t update = 0; update < a.size(); ++update) {
    for (size_t i = 0; i < kSize; ++i) {
      largest = std::max(largest, std::abs(double{a[update][i]} - double{b[update][i]}));
    }
  }
  return largest;
}

OptimizerSettings With(Rule rule, double OptimizerSettings::*field, double value) {
  OptimizerSettings settings = DefaultSettings(rule);
  settings.*field = value;
  return settings;
}

// Float32 rounding of a dozen steps of 0.01 on weights below 1.
constexpr double kRounding = 1e-6;

TEST(RulePropertiesTest, NesterovAndMomentumWithoutMomentumAreGradientDescent) {
  const Trace sgd = Train(DefaultSettings(Rule::kSgd), Constant);

  EXPECT_EQ(Train(With(Rule::kNag, &OptimizerSettings::momentum, 0.0), Constant), sgd);
  EXPECT_EQ(Train(With(Rule::kMomentum, &OptimizerSettings::momentum, 0.0), Constant), sgd);
  EXPECT_LT(LargestDifference(
                Train(With(Rule::kNagClassic, &OptimizerSettings::momentum, 0.0), Constant), sgd),
            kRounding);
}

TEST(RulePropertiesTest, BothMomentaAgreeWhileTheRateIsConstantAndOnlyThen) {
  const OptimizerSettings torch = DefaultSettings(Rule::kMomentum);
  const OptimizerSettings classic = DefaultSettings(Rule::kMomentumClassic);

  EXPECT_LT(LargestDifference(Train(torch, Constant), Train(classic, Constant)), kRounding);
  EXPECT_GT(LargestDifference(Train(torch, Halved), Train(classic, Halved)), 1e-3);
}

TEST(RulePropertiesTest, LionMovesEachWeightByTheRateOrNotAtAll) {
  const Trace trace = Train(DefaultSettings(Rule::kLion), Constant);

  for (size_t update = 1; update < trace.size(); ++update) {
    for (size_t i = 0; i < kSize; ++i) {
      const double step = std::abs(double{trace[update][i]} - double{trace[update - 1][i]});
      EXPECT_TRUE(step < 1e-7 || std::abs(step - kRate) < 1e-7) << step;
    }
  }
}

TEST(RulePropertiesTest, SumsAndLargestMomentsNeverFall) {
  for (const auto& [rule, slot] : {std::pair(Rule::kAdagrad, 0u), std::pair(Rule::kAmsGrad, 2u),
                                   std::pair(Rule::kAmsGradW, 2u)}) {
    std::vector<float> before(kSize, 0.0f);
    Train(DefaultSettings(rule), Constant, 1.0f, [&](int, const WholeModel& model) {
      for (size_t i = 0; i < kSize; ++i) EXPECT_GE(model.tensor(0).slots[slot][i], before[i]);
      before = model.tensor(0).slots[slot];
    });
  }
}

// Liu et al.: with beta2 = 0.999 the first rectified update is the sixth.
TEST(RulePropertiesTest, RAdamBeginsAsCorrectedMomentum) {
  OptimizerSettings settings = DefaultSettings(Rule::kRAdam);
  std::vector<double> moment(kSize, 0.0);
  std::vector<float> weight = Noise(0, 1.0f);
  int plain = 0;
  Train(settings, Constant, 1.0f, [&](int update, const WholeModel& model) {
    const std::vector<float> gradient = Noise(static_cast<uint64_t>(update), 1.0f);
    double off = 0;
    for (size_t i = 0; i < kSize; ++i) {
      moment[i] = 0.9 * moment[i] + 0.1 * gradient[i];
      const double expected = weight[i] - kRate * moment[i] / (1.0 - std::pow(0.9, update));
      off = std::max(off, std::abs(model.tensor(0).weight[i] - expected));
    }
    weight = model.tensor(0).weight;
    if (off < kRounding) plain = update;
  });
  EXPECT_EQ(plain, 5);
}

TEST(RulePropertiesTest, AdaBoundWithOpenBoundsIsAdamWithItsEpsUncorrected) {
  OptimizerSettings open = DefaultSettings(Rule::kAdaBound);
  open.gamma = 1e-12;  // Lower bound near 0, upper one near infinity.
  open.eps = 1e-30;
  OptimizerSettings adam = DefaultSettings(Rule::kAdam);
  adam.eps = 1e-30;

  EXPECT_LT(LargestDifference(Train(open, Constant), Train(adam, Constant)), kRounding);
}

TEST(RulePropertiesTest, AmsGradIsAdamWhileTheMomentsRise) {
  // Gradients of one sign that grow: v never falls, so the largest is the newest.
  const auto run = [](Rule rule) {
    OptimizerSettings settings = DefaultSettings(rule);
    WholeModel model(settings, BestIsa());
    model.AddTensor(Noise(0, 1.0f), MakeGroup(settings, true, true));
    for (int update = 1; update <= kUpdates; ++update) {
      model.Update(kRate, {std::vector<float>(kSize, static_cast<float>(update))});
    }
    return model.tensor(0).weight;
  };
  EXPECT_EQ(run(Rule::kAmsGrad), run(Rule::kAdam));
}

// With eps out of the way, a gradient 2^k times as large changes no bit of a rule that divides by
// its size.
TEST(RulePropertiesTest, PowersOfTwoInTheGradientChangeNothing) {
  for (const Rule rule : {Rule::kAdagrad, Rule::kRmsProp, Rule::kRmsPropCenteredMomentum,
                          Rule::kAdam, Rule::kAmsGrad, Rule::kNAdam, Rule::kLion, Rule::kLamb}) {
    OptimizerSettings settings = DefaultSettings(rule);
    settings.eps = 1e-30;
    EXPECT_EQ(Train(settings, Constant, 1.0f), Train(settings, Constant, 16.0f))
        << InfoOf(rule).name;
  }
}

// ||dp|| = rate * ||p|| for every adapted tensor that is not zero: the invariant of LAMB.
TEST(RulePropertiesTest, LambMovesATensorByTheRateTimesItsNorm) {
  const Trace trace = Train(DefaultSettings(Rule::kLamb), Constant);

  for (size_t update = 1; update < trace.size(); ++update) {
    double moved = 0;
    double norm = 0;
    for (size_t i = 0; i < kSize; ++i) {
      const double step = double{trace[update][i]} - double{trace[update - 1][i]};
      moved += step * step;
      norm += double{trace[update - 1][i]} * double{trace[update - 1][i]};
    }
    EXPECT_NEAR(std::sqrt(moved) / std::sqrt(norm), kRate, 1e-6 * kRate + 1e-8);
  }
}

// The first step is rate * tau * ||p|| (1 - decay's part is 0): the invariant of LARS.
TEST(RulePropertiesTest, LarsFirstMovesATensorByRateTimesCoefficientTimesItsNorm) {
  OptimizerSettings lars = DefaultSettings(Rule::kLars);
  lars.weight_decay = 0;
  lars.adapt = Adapt::kAlways;
  lars.eps = 1e-30;
  lars.trust_coefficient = 0.5;

  const Trace trace = Train(lars, Constant);

  double moved = 0;
  double norm = 0;
  for (size_t i = 0; i < kSize; ++i) {
    const double step = double{trace[1][i]} - double{trace[0][i]};
    moved += step * step;
    norm += double{trace[0][i]} * double{trace[0][i]};
  }
  EXPECT_NEAR(std::sqrt(moved) / std::sqrt(norm), 0.5 * kRate, 1e-8);
  EXPECT_EQ(Train(lars, Constant, 16.0f), trace) << "the size of the gradient does not matter";
}

TEST(RulePropertiesTest, LarsThatDoesNotAdaptIsMomentumOrNesterov) {
  OptimizerSettings lars = DefaultSettings(Rule::kLars);
  lars.adapt = Adapt::kNever;
  OptimizerSettings momentum = DefaultSettings(Rule::kMomentum);
  OptimizerSettings nag = DefaultSettings(Rule::kNag);
  momentum.weight_decay = nag.weight_decay = lars.weight_decay;

  EXPECT_EQ(Train(lars, Halved), Train(momentum, Halved));
  lars.nesterov = true;
  EXPECT_LT(LargestDifference(Train(lars, Halved), Train(nag, Halved)), kRounding);
}

TEST(RulePropertiesTest, LambThatNeverAdaptsIsAdamW) {
  OptimizerSettings lamb = DefaultSettings(Rule::kLamb);
  lamb.adapt = Adapt::kNever;
  OptimizerSettings adamw = DefaultSettings(Rule::kAdamW);
  adamw.eps = lamb.eps;
  adamw.weight_decay = lamb.weight_decay;

  EXPECT_EQ(Train(lamb, Constant), Train(adamw, Constant));
}

}  // namespace
}  // namespace drover
