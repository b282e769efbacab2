#include "common/tensor/square_total.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace drover {
namespace {

TEST(SquareTotalTest, HoldsWhatAFloat64Holds) {
  for (const double value : {0.0, 1.0, 0.1, 3.75, 1e15 + 0.25, 0x1p61, 0x1.fffffffffffffp-11}) {
    EXPECT_EQ(SquareTotalOf(value).value(), value);
  }
  EXPECT_EQ(SquareTotalOf(0x1p-64), (SquareTotal{0, 1}));
  EXPECT_EQ(SquareTotalOf(0x1.8p-64), (SquareTotal{0, 1}));
  EXPECT_EQ(SquareTotalOf(2.5), (SquareTotal{2, uint64_t{1} << 63}));
}

TEST(SquareTotalTest, CarriesIntoTheWholeOnes) {
  EXPECT_EQ(Sum({1, uint64_t{3} << 62}, {2, uint64_t{3} << 62}),
            (SquareTotal{4, uint64_t{1} << 63}));
  EXPECT_EQ(Sum(SquareTotal{}, SquareTotalOf(0.5)), SquareTotalOf(0.5));
}

// What float64 does not promise, and the reason for this type.
TEST(SquareTotalTest, NoOrderChangesASum) {
  std::mt19937_64 random(3);
  std::vector<SquareTotal> parts;
  for (int i = 0; i < 200; ++i) {
    parts.push_back(SquareTotalOf(std::ldexp(static_cast<double>(random() >> 11), i % 60 - 60)));
  }
  const auto sum = [&parts] {
    SquareTotal total;
    for (const SquareTotal& part : parts) total = Sum(total, part);
    return total;
  };
  const SquareTotal expected = sum();

  for (int round = 0; round < 20; ++round) {
    std::shuffle(parts.begin(), parts.end(), random);
    EXPECT_EQ(sum(), expected);
  }
}

TEST(SquareTotalTest, WhatIsNotKnownStaysSo) {
  for (const double value : {-1.0, 0x1p62, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(SquareTotalOf(value), kUnknownSquareTotal);
  }
  EXPECT_EQ(Sum(kUnknownSquareTotal, SquareTotalOf(1)), kUnknownSquareTotal);
  EXPECT_EQ(Sum(SquareTotalOf(1), kUnknownSquareTotal), kUnknownSquareTotal);
  EXPECT_EQ(Sum(SquareTotalOf(0x1p61), SquareTotalOf(0x1p61)), kUnknownSquareTotal);
}

}  // namespace
}  // namespace drover
