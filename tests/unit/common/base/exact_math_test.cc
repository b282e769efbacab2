#include "common/base/exact_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace drover {
namespace {

TEST(ExactLogTest, AgreesWithTheLibraryToTheLastDigits) {
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    EXPECT_NEAR(ExactLog(x), std::log(x), 4e-16 * std::abs(std::log(x)) + 1e-16) << x;
  }
}

TEST(ExactLogTest, NanAndInfinityStay) {
  EXPECT_TRUE(std::isnan(ExactLog(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_EQ(ExactLog(std::numeric_limits<double>::infinity()),
            std::numeric_limits<double>::infinity());
}

TEST(ExactExpTest, AgreesWithTheLibraryToTheLastDigits) {
  for (double x = -708.0; x < 709.0; x += 0.371) {
    EXPECT_NEAR(ExactExp(x), std::exp(x), 5e-16 * std::exp(x)) << x;
  }
  EXPECT_EQ(ExactExp(0.0), 1.0);
  EXPECT_EQ(ExactExp(-1000.0), 0.0);
  EXPECT_EQ(ExactExp(1000.0), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(ExactExp(std::numeric_limits<double>::quiet_NaN())));
}

TEST(ExactCosTest, AgreesWithTheLibraryToTheLastDigits) {
  for (int i = 0; i <= 1000; ++i) {
    const double x = std::numbers::pi * i / 1000;
    EXPECT_NEAR(ExactCos(x), std::cos(x), 3e-16) << x;
  }
  EXPECT_EQ(ExactCos(0.0), 1.0);
}

TEST(ExactPowerTest, AgreesWithTheLibrary) {
  for (const double base : {0.5, 0.9, 0.98, 0.999, 0.9999, 1.0, 7.25}) {
    for (const double exponent : {0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 10.0, 100.0, 128.75}) {
      const double expected = std::pow(base, exponent);
      const bool whole = exponent == std::floor(exponent);
      const double roundings = whole ? exponent : 4 * (1 + std::abs(exponent * std::log(base)));
      EXPECT_NEAR(ExactPower(base, exponent), expected, (1 + roundings) * 0x1p-53 * expected)
          << base << "^" << exponent;
    }
    EXPECT_EQ(ExactPower(base, 1.0), base);
  }
  EXPECT_EQ(ExactPower(0.0, 0.5), 0.0);
  EXPECT_EQ(ExactPower(0.0, 0.0), 1.0);
  EXPECT_EQ(ExactPower(0.999, int64_t{1}), 0.999);
}

// statistics.NormalDist().inv_cdf of Python 3.11.
TEST(InverseNormalTest, EqualsPythons) {
  const double expected[][2] = {{0.5, 0.0},
                                {0.6, 0.2533471031357998},
                                {0.9, 1.2815515655446008},
                                {0.95, 1.6448536269514715},
                                {0.975, 1.9599639845400536},
                                {0.999, 3.090232306167813},
                                {1e-3, -3.090232306167813},
                                {1e-6, -4.753424308822899},
                                {0x1p-33, -6.337957754553789},
                                {1e-15, -7.941345326170995},
                                {0.07, -1.4757910281791702},
                                {0.0750001, -1.4395307645017297}};
  for (const auto& [p, x] : expected) EXPECT_NEAR(InverseNormal(p), x, 2e-15 * std::abs(x)) << p;
}

}  // namespace
}  // namespace drover
