#include "common/tensor/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace drover {
namespace {

TEST(BufferTest, IsAlignedToCacheLinesAndLargeOnesToHugePages) {
  const FloatBuffer small(3);
  const FloatBuffer large(kHugePageBytes);

  EXPECT_EQ(reinterpret_cast<uintptr_t>(small.data()) % kCacheLineBytes, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(large.data()) % kHugePageBytes, 0u);
  EXPECT_EQ(small.size(), 3u);
  EXPECT_EQ(small.bytes(), 12u);
}

TEST(BufferTest, ZeroedIsZero) {
  const auto buffer = Buffer<int64_t>::Zeroed(1000);

  EXPECT_TRUE(
      std::all_of(buffer.span().begin(), buffer.span().end(), [](int64_t x) { return x == 0; }));
}

TEST(BufferTest, MovesItsMemoryAndLeavesNothingBehind) {
  FloatBuffer from(10);
  from.data()[9] = 1.5f;
  float* const data = from.data();

  FloatBuffer to = std::move(from);

  EXPECT_EQ(to.data(), data);
  EXPECT_EQ(to.span()[9], 1.5f);
  EXPECT_EQ(from.size(), 0u);  // NOLINT: what is left after the move is the point.
  EXPECT_EQ(from.data(), nullptr);
}

TEST(BufferTest, EmptyHoldsNoMemory) {
  EXPECT_EQ(FloatBuffer().data(), nullptr);
  EXPECT_EQ(FloatBuffer(0).data(), nullptr);
}

}  // namespace
}  // namespace drover
