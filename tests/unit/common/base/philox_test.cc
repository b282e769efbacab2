#include "common/base/philox.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

using Words = std::array<uint32_t, 4>;

// The three philox4x32-10 lines of tests/kat_vectors in Random123 1.14.
TEST(PhiloxTest, CounterAndKeyOfZeros) {
  EXPECT_EQ(Philox(/*seed=*/0, /*stream=*/0, /*index=*/0),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(PhiloxTest, CounterAndKeyOfOnes) {
  EXPECT_EQ(Philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(PhiloxTest, CounterAndKeyOfDigitsOfPiFixTheOrderOfTheirWords) {
  EXPECT_EQ(Philox(/*seed=*/0x299f31d0a4093822, /*stream=*/0x0370734413198a2e,
                   /*index=*/0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, UnitFloatIsBelowOneAndKeepsTheTopBits) {
  EXPECT_EQ(UnitFloat(0), 0.0f);
  EXPECT_EQ(UnitFloat(0xff), 0.0f);
  EXPECT_EQ(UnitFloat(0x100), 0x1p-24f);
  EXPECT_EQ(UnitFloat(0x80000000), 0.5f);
  EXPECT_EQ(UnitFloat(0xffffffff), 1.0f - 0x1p-24f);
}

}  // namespace
}  // namespace drover
