#include "server/coordinator/noise_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace drover {
namespace {

double SquareOf(const std::vector<double>& vector) {
  double sum = 0.0;
  for (const double x : vector) sum += x * x;
  return sum;
}

// A step as the paper's text says it, one sample after the other: gradient = mean + noise of
// standard deviation `deviation` in every element.
NoiseSample SlowStep(const std::vector<double>& mean, double deviation, int64_t leaves,
                     int64_t leaf_samples, std::mt19937_64* random) {
  std::normal_distribution<double> noise(0.0, deviation);
  NoiseSample step = {0.0, leaves, leaf_samples, 0.0};
  std::vector<double> total(mean.size(), 0.0);
  for (int64_t leaf = 0; leaf < leaves; ++leaf) {
    std::vector<double> sum(mean.size(), 0.0);
    for (int64_t sample = 0; sample < leaf_samples; ++sample) {
      for (size_t i = 0; i < mean.size(); ++i) sum[i] += mean[i] + noise(*random);
    }
    step.leaf_squares += SquareOf(sum);
    for (size_t i = 0; i < mean.size(); ++i) total[i] += sum[i];
  }
  step.gradient_norm = std::sqrt(SquareOf(total)) / static_cast<double>(leaves * leaf_samples);
  return step;
}

// E|g_n|^2 = |G|^2 + tr(S) / n put in place of the squares: the formulas must give both back.
TEST(NoiseScaleTest, IsExactForTheExpectedSquares) {
  const double gradient_square = 0.25;
  const double trace = 300.0;
  const NoiseSample sample = {32 * 64.0 * 64.0 * (gradient_square + trace / 64), 32, 64,
                              std::sqrt(gradient_square + trace / 2048)};
  NoiseState state;

  AddNoise(sample, &state);

  EXPECT_NEAR(NoiseScaleOf(state).value(), 1200.0, 1e-9 * 1200);
  EXPECT_NEAR(state.trace / state.weight, trace, 1e-9 * trace);
}

// Known gradient and covariance: |G|^2 = 40 * 0.09 = 3.6, tr(S) = 40 * 4 = 160. The average of the
// last hundred steps or so is noisy itself; its mean over many steps is within a few per cent.
TEST(NoiseScaleTest, FindsTheCovarianceOfKnownNoise) {
  const std::vector<double> mean(40, 0.3);
  std::mt19937_64 random(7);
  NoiseState state;
  double sum = 0.0;
  int count = 0;
  for (int step = 0; step < 1200; ++step) {
    AddNoise(SlowStep(mean, 2.0, /*leaves=*/4, /*leaf_samples=*/4, &random), &state);
    if (step < 300) continue;
    sum += NoiseScaleOf(state).value();
    ++count;
  }

  EXPECT_NEAR(sum / count, 160.0 / 3.6, 0.05 * 160.0 / 3.6);
}

// Both batch sizes are free: half of the leaves, twice as large, give the same number.
TEST(NoiseScaleTest, DoesNotDependOnTheSizeOfALeaf) {
  NoiseState fine;
  NoiseState coarse;
  const double square = 2.0;
  const double trace = 50.0;
  for (int step = 0; step < 10; ++step) {
    AddNoise({16 * 4.0 * 4.0 * (square + trace / 4), 16, 4, std::sqrt(square + trace / 64)}, &fine);
    AddNoise({8 * 8.0 * 8.0 * (square + trace / 8), 8, 8, std::sqrt(square + trace / 64)}, &coarse);
  }

  EXPECT_NEAR(NoiseScaleOf(fine).value(), 25.0, 1e-9);
  EXPECT_NEAR(NoiseScaleOf(coarse).value(), 25.0, 1e-9);
}

TEST(NoiseScaleTest, IsNothingBeforeAStepAndWhereItHasNoMeaning) {
  NoiseState state;
  EXPECT_FALSE(NoiseScaleOf(state).has_value());
  // All leaves alike: no noise at all.
  AddNoise({4 * 4.0 * 4.0 * 1.0, 4, 4, 1.0}, &state);
  EXPECT_FALSE(NoiseScaleOf(state).has_value());
  // Nothing but noise: leaves cancel each other.
  NoiseState noise;
  AddNoise({4 * 4.0 * 4.0 * 1.0, 4, 4, 0.0}, &noise);
  EXPECT_FALSE(NoiseScaleOf(noise).has_value());
}

}  // namespace
}  // namespace drover
