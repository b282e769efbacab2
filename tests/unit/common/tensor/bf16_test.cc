#include "common/tensor/bf16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace drover {
namespace {

TEST(Bf16Test, RoundsToNearestAndTiesToEven) {
  // bits of the float32, bits of the bfloat16: by hand.
  const std::pair<uint32_t, uint16_t> cases[] = {
      {0x3f800000, 0x3f80},  // 1
      {0x3f807fff, 0x3f80},  // just below the tie
      {0x3f808000, 0x3f80},  // tie: even stays
      {0x3f808001, 0x3f81},  // just above
      {0x3f818000, 0x3f82},  // tie: odd goes up
      {0xbf818000, 0xbf82},  // the same below 0
      {0x7f7fffff, 0x7f80},  // the largest float32 is nearer to infinity
      {0x7f800000, 0x7f80},  // infinity
      {0xff800000, 0xff80},  // and minus infinity
      {0x00000000, 0x0000},  // 0
      {0x80000000, 0x8000},  // -0
      {0x00000001, 0x0000},  // the smallest subnormal
      {0x00008001, 0x0001},  // subnormals are not flushed
      {0x7fc00001, 0x7fc0},  // NaN
      {0xff800001, 0x7fc0},  // signalling NaN with nothing in the upper half
  };
  for (const auto& [from, to] : cases) {
    EXPECT_EQ(ToBf16(std::bit_cast<float>(from)), to) << std::hex << from;
  }
}

TEST(Bf16Test, EveryBf16ComesBack) {
  for (uint32_t value = 0; value < 0x10000; ++value) {
    const float wide = FromBf16(static_cast<uint16_t>(value));
    if (std::isnan(wide)) continue;
    ASSERT_EQ(ToBf16(wide), value);
  }
}

TEST(Bf16Test, ArraysAreTheFunctionsElementByElement) {
  std::vector<float> from;
  for (int i = 0; i < 1000; ++i)
    from.push_back(std::ldexp(1.0f + 0.00137f * static_cast<float>(i), i % 40 - 20));
  from.push_back(std::numeric_limits<float>::quiet_NaN());
  std::vector<uint16_t> rounded(from.size());
  std::vector<float> widened(from.size());

  RoundToBf16(from.data(), from.size(), rounded.data());
  WidenBf16(rounded.data(), rounded.size(), widened.data());

  for (size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(rounded[i], ToBf16(from[i]));
    EXPECT_EQ(std::bit_cast<uint32_t>(widened[i]), std::bit_cast<uint32_t>(FromBf16(rounded[i])));
  }
}

}  // namespace
}  // namespace drover
