#include <gtest/gtest.h>

#include "common/tensor/bf16.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "tests/unit/worker/nn/warp_product_probe.h"

namespace drover {
namespace {

std::vector<float> RoundedNoise(size_t count, uint64_t seed) {
  std::vector<float> values = ProbeNoise(count, seed);
  for (float& value : values) value = FromBf16(ToBf16(value));
  return values;
}

TEST(WarpProductTest, MultipliesFragmentsOfThePtxIsa) {
  const std::vector<float> a = RoundedNoise(16 * 16, 1);
  const std::vector<float> b = RoundedNoise(16 * 8, 2);
  const std::vector<float> c = ProbeNoise(16 * 8, 3);
  emulator::ForEachSeed(10, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    GpuArrays arrays;
    float* const sums = arrays.Copy(c.data(), c.size());
    ASSERT_TRUE(MultiplyOnWarp(arrays.Copy(a.data(), a.size()), arrays.Copy(b.data(), b.size()),
                               sums, arrays.stream())
                    .ok());
    const std::vector<float> got = arrays.ReadAs<float>(sums, c.size());
    for (size_t row = 0; row < 16; ++row) {
      for (size_t column = 0; column < 8; ++column) {
        double expected = c[row * 8 + column];
        for (size_t k = 0; k < 16; ++k) expected += double{a[row * 16 + k]} * b[k * 8 + column];
        ASSERT_NEAR(got[row * 8 + column], expected, 4e-6) << row << ", " << column;
      }
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(WarpProductTest, LoadsMatricesAsLdmatrixDoes) {
  std::vector<uint16_t> values(64 * 8);  // Their own index.
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(i);
  GpuArrays arrays;
  uint32_t* const plain = reinterpret_cast<uint32_t*>(arrays.Bytes(128 * sizeof(uint32_t)));
  uint32_t* const transposed = reinterpret_cast<uint32_t*>(arrays.Bytes(128 * sizeof(uint32_t)));
  ASSERT_TRUE(LoadMatricesOnWarp(arrays.Copy(values.data(), values.size()), plain, transposed,
                                 arrays.stream())
                  .ok());
  const std::vector<uint32_t> got = arrays.ReadAs(plain, 128);
  const std::vector<uint32_t> got_transposed = arrays.ReadAs(transposed, 128);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t i = 0; i < 4; ++i) {
      const auto value = [i](uint32_t row, uint32_t column) {
        return (2 * (8 * i + row) + 1) * 8 + column;
      };
      const uint32_t g = lane / 4;
      const uint32_t t = lane % 4;
      EXPECT_EQ(got[4 * lane + i], value(g, 2 * t) | value(g, 2 * t + 1) << 16);
      EXPECT_EQ(got_transposed[4 * lane + i], value(2 * t, g) | value(2 * t + 1, g) << 16);
    }
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// To nearest, ties to even.
TEST(WarpProductTest, PacksTheFirstOfAPairLow) {
  std::vector<float> pairs = ProbeNoise(64, 4);
  pairs[0] = 1.0f;
  pairs[1] = -2.0f;
  pairs[2] = 1.00390625f;  // Half of the last place.
  pairs[3] = 0.0f;
  GpuArrays arrays;
  uint32_t* const packed = reinterpret_cast<uint32_t*>(arrays.Bytes(32 * sizeof(uint32_t)));
  ASSERT_TRUE(PackOnWarp(arrays.Copy(pairs.data(), 64), packed, arrays.stream()).ok());
  const std::vector<uint32_t> got = arrays.ReadAs(packed, 32);
  EXPECT_EQ(got[0], 0xc0003f80u);
  EXPECT_EQ(got[1], 0x3f80u);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(got[i], ToBf16(pairs[2 * i]) | uint32_t{ToBf16(pairs[2 * i + 1])} << 16);
  }
}

}  // namespace
}  // namespace drover
