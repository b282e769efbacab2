// Against libm in double over the whole range of float.

#include "worker/nn/float_sigmoid.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace drover {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// |got - want| in units of the last place of want as a float, a normal one.
double UlpsApart(float got, double want) {
  const float rounded = std::fabs(static_cast<float>(want));
  const double ulp = double{std::nextafter(rounded, kInfinity)} - rounded;
  return std::fabs(got - want) / ulp;
}

// Calls f with every 1009th float, of both signs, infinities included, NaN not.
template <typename Function>
void ForFloats(const Function& f) {
  constexpr uint32_t kInfinityBits = 0x7f800000u;
  for (uint32_t bits = 0; bits <= kInfinityBits; bits += 1009) {
    f(std::bit_cast<float>(bits));
    f(-std::bit_cast<float>(bits));
  }
  f(kInfinity);
  f(-kInfinity);
}

TEST(FloatSigmoidTest, IsWithinThreeUlpOfLibm) {
  double worst = 0;
  float where = 0;
  ForFloats([&](float x) {
    if (x < -87.0f) {
      ASSERT_EQ(Sigmoid(x), 0.0f) << x;
      return;
    }
    const double ulps = UlpsApart(Sigmoid(x), 1.0 / (1.0 + std::exp(-double{x})));
    if (ulps > worst) where = x;
    worst = std::fmax(worst, ulps);
  });
  EXPECT_LE(worst, 3.0) << where;
}

TEST(FloatSigmoidTest, ReachesItsLimitsAndPassesNan) {
  EXPECT_EQ(Sigmoid(0.0f), 0.5f);
  EXPECT_EQ(Sigmoid(-0.0f), 0.5f);
  EXPECT_EQ(Sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(Sigmoid(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(Sigmoid(kNan)));
  EXPECT_TRUE(std::isnan(Sigmoid(-kNan)));
}

TEST(FloatTanhTest, IsWithinTwoUlpOfLibm) {
  double worst = 0;
  float where = 0;
  ForFloats([&](float x) {
    const double ulps = UlpsApart(Tanh(x), std::tanh(double{x}));
    if (ulps > worst) where = x;
    worst = std::fmax(worst, ulps);
  });
  EXPECT_LE(worst, 2.0) << where;
}

TEST(FloatTanhTest, IsOddReachesItsLimitsAndPassesNan) {
  ForFloats([](float x) { ASSERT_EQ(Tanh(-x), -Tanh(x)) << x; });
  EXPECT_TRUE(std::signbit(Tanh(-0.0f)));
  EXPECT_EQ(Tanh(kInfinity), 1.0f);
  EXPECT_EQ(Tanh(-kInfinity), -1.0f);
  EXPECT_TRUE(std::isnan(Tanh(kNan)));
}

}  // namespace
}  // namespace drover
