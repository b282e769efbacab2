#include "common/base/exact_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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
