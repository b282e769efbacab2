#include "worker/nn/token_sort_gpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

void ExpectSorted(const std::vector<int32_t>& keys, int32_t key_max) {
  std::vector<uint32_t> expected(keys.size());
  std::iota(expected.begin(), expected.end(), 0u);
  std::stable_sort(expected.begin(), expected.end(),
                   [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
  const auto count = static_cast<int64_t>(keys.size());
  GpuArrays arrays;
  auto* const order = reinterpret_cast<uint32_t*>(arrays.Bytes(keys.size() * sizeof(uint32_t)));
  auto* const scratch = reinterpret_cast<uint32_t*>(arrays.Bytes(TokenSortScratchBytes(count)));

  ASSERT_TRUE(SortTokensOnGpu({.count = count,
                               .keys = arrays.Copy(keys.data(), keys.size()),
                               .key_max = key_max,
                               .scratch = scratch},
                              order, arrays.stream())
                  .ok());

  EXPECT_EQ(arrays.ReadAs(order, keys.size()), expected) << "up to " << key_max;
}

// One to four passes of 8 bits; one block of elements, a whole one and several.
TEST(TokenSortGpuTest, IsStable) {
  emulator::ForEachSeed(3, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const int32_t key_max : {1, 255, 30522, 1 << 16, 1 << 24}) {
      for (const size_t count : {1, 256, 600}) {
        std::vector<int32_t> keys(count);
        for (size_t i = 0; i < count; ++i) {
          keys[i] = static_cast<int32_t>(Philox(1, 2, i)[0] % static_cast<uint32_t>(key_max + 1));
        }
        keys.back() = key_max;
        ExpectSorted(keys, key_max);
      }
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(TokenSortGpuTest, KeepsTheOrderOfEqualTokens) {
  ExpectSorted(std::vector<int32_t>(300, 7), 30522);
}

}  // namespace
}  // namespace drover
