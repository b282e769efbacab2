#include "common/tensor/fixed_point.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "tests/support/slow_square_sum.h"

namespace drover {
namespace {

// Every test runs for each build of the passes that this machine can execute.
class FixedPointTest : public testing::TestWithParam<Isa> {
 protected:
  const FixedPointPasses& passes() const { return FixedPointPassesFor(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(AllIsas, FixedPointTest, testing::ValuesIn(RunnableIsas()),
                         [](const auto& isa) { return IsaName(isa.param); });

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Lengths around the width of the passes' blocks and pieces.
const std::vector<size_t> kLengths = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 1023, 1024, 1025, 5000};

// All magnitudes that float32 knows below `limit`, both signs, ties among them.
std::vector<float> AnyFloats(size_t count, float limit, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> floats;
  while (floats.size() < count) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isfinite(value) && std::fabs(value) < limit) floats.push_back(value);
  }
  return floats;
}

std::vector<int64_t> AnyInts(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> ints;
  for (size_t i = 0; i < count; ++i) {
    ints.push_back(static_cast<int64_t>(random()) >> (random() % 64));
  }
  return ints;
}

int64_t Llrint(float g, double scale) { return llrint(static_cast<double>(g) * scale); }

TEST(FixedPointScalesTest, FractionBitsLeaveRoomForTheBatch) {
  EXPECT_EQ(DefaultFractionBits(1), 48);
  EXPECT_EQ(DefaultFractionBits(2), 47);
  EXPECT_EQ(DefaultFractionBits(3), 46);
  EXPECT_EQ(DefaultFractionBits(32768), 33);
  EXPECT_EQ(DefaultFractionBits(32769), 32);
  EXPECT_EQ(DefaultFractionBits(65536), 32);
  EXPECT_EQ(DefaultFractionBits(int64_t{1} << 40), 8);
}

TEST(FixedPointScalesTest, LimitsAgreeInBothFormats) {
  EXPECT_EQ(LeafLimit(1), 16384.0f);
  EXPECT_EQ(LeafLimit(1024), 16777216.0f);
  EXPECT_EQ(FixedPointLimit(1, 0), 16384);
  EXPECT_EQ(FixedPointLimit(32768, 33), int64_t{1} << 62);
  EXPECT_EQ(FixedPointLimit(3, 46), int64_t{3} << 60);
  EXPECT_EQ(FixedPointScale(33), 8589934592.0);
  EXPECT_EQ(FixedPointMeanFactor(33, 32768), 0x1p-48);
  EXPECT_EQ(FixedPointMeanFactor(0, 3), 1.0 / 3.0);
}

TEST_P(FixedPointTest, StoresLlrintOfEveryMagnitude) {
  for (const int bits : {0, 1, 8, 32, 33, 48}) {
    const double scale = FixedPointScale(bits);
    const float limit = static_cast<float>(std::ldexp(1.0, 62 - bits));
    const std::vector<float> gradient = AnyFloats(20000, limit, 1);
    std::vector<int64_t> sums(gradient.size(), -1);

    passes().store_f32(gradient.data(), gradient.size(), scale, sums.data());

    for (size_t i = 0; i < gradient.size(); ++i) {
      ASSERT_EQ(sums[i], Llrint(gradient[i], scale)) << gradient[i] << " with F=" << bits;
    }
  }
}

TEST_P(FixedPointTest, RoundsTiesToEven) {
  const std::vector<float> gradient = {
      0.5f,   1.5f,       2.5f,       -0.5f,         -1.5f,         -2.5f,
      0.25f,  0.75f,      8388607.5f, -8388607.5f,   0.0f,          -0.0f,
      1e-45f, 4194304.5f, 4194305.5f, 2147483648.0f, -2147483648.0f};
  const std::vector<int64_t> expected = {0, 2,       2,       0,          -2,         -2,
                                         0, 1,       8388608, -8388608,   0,          0,
                                         0, 4194304, 4194306, 2147483648, -2147483648};
  std::vector<int64_t> sums(gradient.size());

  passes().store_f32(gradient.data(), gradient.size(), 1.0, sums.data());

  EXPECT_EQ(sums, expected);
}

TEST_P(FixedPointTest, AddsAndSubtractsAtEveryLengthAndAlignment) {
  for (const size_t length : kLengths) {
    const std::vector<float> gradient = AnyFloats(length, 16384.0f, length);
    for (size_t shift = 0; shift < 5; ++shift) {
      std::vector<char> bytes(length * sizeof(float) + shift);
      if (length > 0) std::memcpy(bytes.data() + shift, gradient.data(), length * sizeof(float));
      const std::vector<int64_t> before = AnyInts(length + 1, 7);
      std::vector<int64_t> sums = before;

      passes().add_f32(bytes.data() + shift, length, 0x1p33, sums.data());

      for (size_t i = 0; i < length; ++i) {
        ASSERT_EQ(
            static_cast<uint64_t>(sums[i]),
            static_cast<uint64_t>(before[i]) + static_cast<uint64_t>(Llrint(gradient[i], 0x1p33)));
      }
      EXPECT_EQ(sums[length], before[length]);

      passes().subtract_f32(bytes.data() + shift, length, 0x1p33, sums.data());
      EXPECT_EQ(sums, before);
    }
  }
}

TEST_P(FixedPointTest, AddsAndSubtractsIntegersFromUnalignedBytes) {
  for (const size_t length : kLengths) {
    const std::vector<int64_t> other = AnyInts(length, 3);
    std::vector<char> bytes(length * sizeof(int64_t) + 3);
    if (length > 0) std::memcpy(bytes.data() + 3, other.data(), length * sizeof(int64_t));
    const std::vector<int64_t> before = AnyInts(length + 1, 4);
    std::vector<int64_t> sums = before;

    passes().add_i64(bytes.data() + 3, length, sums.data());

    for (size_t i = 0; i < length; ++i) {
      ASSERT_EQ(static_cast<uint64_t>(sums[i]),
                static_cast<uint64_t>(before[i]) + static_cast<uint64_t>(other[i]));
    }
    passes().subtract_i64(bytes.data() + 3, length, sums.data());
    EXPECT_EQ(sums, before);
  }
}

TEST_P(FixedPointTest, SumsDoNotDependOnTheOrder) {
  constexpr size_t kCount = 64;
  std::vector<std::vector<float>> gradients;
  for (size_t i = 0; i < kCount; ++i) gradients.push_back(AnyFloats(1000, 16384.0f, i));
  std::vector<int64_t> forward(1000, 0);
  std::vector<int64_t> backward(1000, 0);

  for (size_t i = 0; i < kCount; ++i) {
    passes().add_f32(gradients[i].data(), 1000, 0x1p33, forward.data());
    passes().add_f32(gradients[kCount - 1 - i].data(), 1000, 0x1p33, backward.data());
  }

  EXPECT_EQ(forward, backward);
}

TEST_P(FixedPointTest, FindsTheFirstFloatOutOfRange) {
  const float limit = 16384.0f;
  const std::vector<float> bad = {kNan, -kNan, kInfinity, -kInfinity, limit, -limit, 3e38f};
  for (const size_t length : kLengths) {
    std::vector<float> gradient(length, std::nextafter(limit, 0.0f));
    if (length > 2) gradient[2] = -std::nextafter(limit, 0.0f);
    ASSERT_EQ(passes().find_bad_f32(gradient.data(), length, limit), -1);
    for (size_t at = 0; at < length; at += length / 7 + 1) {
      for (const float value : bad) {
        std::vector<float> broken = gradient;
        broken[at] = value;
        broken[length - 1] = value;
        ASSERT_EQ(passes().find_bad_f32(broken.data(), length, limit), static_cast<int64_t>(at))
            << value;
      }
    }
  }
}

TEST_P(FixedPointTest, AcceptsDenormalsAndNegativeZero) {
  const std::vector<float> gradient = {1e-45f, -1e-45f, -0.0f, 1e-38f};
  std::vector<int64_t> sums(4, -1);

  EXPECT_EQ(passes().find_bad_f32(gradient.data(), 4, 16384.0f), -1);
  passes().store_f32(gradient.data(), 4, 0x1p48, sums.data());

  EXPECT_EQ(sums, std::vector<int64_t>(4, 0));
}

TEST_P(FixedPointTest, FindsTheFirstIntegerOutOfRange) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  for (const int64_t limit : {int64_t{1}, int64_t{16384}, int64_t{1} << 62}) {
    std::vector<int64_t> sums = {0, limit - 1, 1 - limit, 0, limit - 1, 0, 0, 0, 0, 0, 1 - limit};
    ASSERT_EQ(passes().find_bad_i64(sums.data(), sums.size(), limit), -1);
    for (const int64_t value : {limit, -limit, limit + 1, kMax, kMin, kMin + 1}) {
      for (size_t at = 0; at < sums.size(); ++at) {
        std::vector<int64_t> broken = sums;
        broken[at] = value;
        ASSERT_EQ(passes().find_bad_i64(broken.data(), broken.size(), limit),
                  static_cast<int64_t>(at))
            << value << " against " << limit;
      }
    }
  }
}

// The slow obvious mean and its squares.
double SlowMean(const std::vector<int64_t>& sums, double factor, std::vector<float>* mean) {
  mean->clear();
  for (const int64_t sum : sums) {
    const volatile double exact = static_cast<double>(sum);
    const volatile double scaled = exact * factor;
    mean->push_back(static_cast<float>(scaled));
  }
  return SlowSquareSum(*mean);
}

TEST_P(FixedPointTest, MeanRoundsOnceAndSquaresInFixedLanes) {
  for (const size_t length : kLengths) {
    const std::vector<int64_t> sums = AnyInts(length, 11);
    for (const double factor : {0x1p-48, FixedPointMeanFactor(32, 49152)}) {
      std::vector<float> expected;
      const double expected_squares = SlowMean(sums, factor, &expected);
      std::vector<float> mean(length);

      const double squares = passes().mean(sums.data(), length, factor, mean.data());

      EXPECT_EQ(mean, expected);
      EXPECT_EQ(squares, expected_squares);
    }
  }
}

TEST_P(FixedPointTest, MeanMayReplaceTheFrontOfItsSums) {
  for (const size_t length : kLengths) {
    std::vector<int64_t> sums = AnyInts(length, 12);
    std::vector<float> expected;
    const double expected_squares = SlowMean(sums, 0x1p-48, &expected);

    const double squares =
        passes().mean(sums.data(), length, 0x1p-48, reinterpret_cast<float*>(sums.data()));

    std::vector<float> mean(length);
    if (length > 0) std::memcpy(mean.data(), sums.data(), length * sizeof(float));
    EXPECT_EQ(mean, expected);
    EXPECT_EQ(squares, expected_squares);
  }
}

TEST_P(FixedPointTest, SumsOfSquaresHaveOneOrderForEverySize) {
  const std::vector<float> values = AnyFloats(70000, 1e10f, 13);
  for (const size_t size :
       {0,    1,    3,    4,    5,    15,   16,   511,  512,  513,  515,   767,
        1020, 1023, 1024, 1025, 2047, 2048, 4095, 4096, 4097, 4999, 65535, 65536}) {
    EXPECT_EQ(passes().sum_squares(values.data(), size),
              SlowSquareSum(std::span(values).first(size)))
        << size;
  }
}

}  // namespace
}  // namespace drover
