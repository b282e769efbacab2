#include "server/optim/trust_ratio.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

constexpr GroupSettings kAdapted{true, true};

OptimizerSettings Lamb() { return DefaultSettings(Rule::kLamb); }

TEST(TrustRatioTest, IsTheQuotientOfTheNorms) {
  const TrustRatio ratio = ComputeTrustRatio(Lamb(), kAdapted, 3.0, 4.0);

  EXPECT_EQ(ratio.ratio, 0.75);
  EXPECT_EQ(ratio.limit, RatioLimit::kNone);
}

TEST(TrustRatioTest, IsOneForTensorsThatAreNotAdapted) {
  const TrustRatio ratio = ComputeTrustRatio(Lamb(), {true, false}, 3.0, 4.0);

  EXPECT_EQ(ratio.ratio, 1.0);
  EXPECT_EQ(ratio.limit, RatioLimit::kNone);
}

TEST(TrustRatioTest, IsOneForZeroNormsWhateverTheLimits) {
  OptimizerSettings settings = Lamb();
  settings.phi_min = 5.0;
  settings.ratio_min = 2.0;
  for (const auto& [weight, direction] : {std::pair{0.0, 1.0}, {1.0, 0.0}, {0.0, 0.0}}) {
    const TrustRatio ratio = ComputeTrustRatio(settings, kAdapted, weight, direction);

    EXPECT_EQ(ratio.ratio, 1.0);
    EXPECT_EQ(ratio.limit, RatioLimit::kZeroNorm);
  }
}

TEST(TrustRatioTest, LimitsTheWeightNormFirst) {
  OptimizerSettings settings = Lamb();
  settings.phi_min = 2.0;
  settings.phi_max = 10.0;

  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 1.0, 4.0).ratio, 0.5);
  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 1.0, 4.0).limit, RatioLimit::kMin);
  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 40.0, 4.0).ratio, 2.5);
  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 40.0, 4.0).limit, RatioLimit::kMax);
  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 10.0, 4.0).limit, RatioLimit::kNone);
}

TEST(TrustRatioTest, LimitsTheRatio) {
  OptimizerSettings settings = Lamb();
  settings.ratio_min = 0.01;
  settings.ratio_max = 10.0;

  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 1.0, 1000.0).ratio, 0.01);
  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 1.0, 1000.0).limit, RatioLimit::kMin);
  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 1000.0, 1.0).ratio, 10.0);
  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 1000.0, 1.0).limit, RatioLimit::kMax);
}

TEST(TrustRatioTest, AddsEpsilonToTheDirectionNorm) {
  OptimizerSettings settings = Lamb();
  settings.ratio_eps = 1.0;

  EXPECT_EQ(ComputeTrustRatio(settings, kAdapted, 2.0, 3.0).ratio, 0.5);
}

// You et al. 2017, equation 6, with eps in the denominator.
TEST(TrustRatioTest, OfLarsCountsTheDecayToTheGradient) {
  OptimizerSettings lars = DefaultSettings(Rule::kLars);
  lars.trust_coefficient = 0.5;
  lars.weight_decay = 0.25;
  lars.eps = 1.0;

  EXPECT_EQ(ComputeTrustRatio(lars, kAdapted, 4.0, 2.0).ratio, 0.5);
  EXPECT_EQ(ComputeTrustRatio(lars, {false, true}, 4.0, 3.0).ratio, 0.5) << "without decay";
  EXPECT_EQ(ComputeTrustRatio(lars, {true, false}, 4.0, 2.0).ratio, 1.0);
  EXPECT_EQ(ComputeTrustRatio(lars, kAdapted, 0.0, 2.0).limit, RatioLimit::kZeroNorm);
  EXPECT_EQ(ComputeTrustRatio(lars, kAdapted, 4.0, 0.0).ratio, 1.0);
}

}  // namespace
}  // namespace drover
