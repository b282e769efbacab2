#include "worker/data/permutation.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace drover {
namespace {

std::vector<uint64_t> All(const Permutation& permutation) {
  std::vector<uint64_t> values;
  for (uint64_t i = 0; i < permutation.n(); ++i) values.push_back(permutation.At(i));
  return values;
}

void ExpectBijection(uint64_t n, uint64_t seed, uint64_t data_pass) {
  const Permutation permutation(n, seed, data_pass);
  std::vector<bool> seen(n, false);
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t value = permutation.At(i);
    ASSERT_LT(value, n);
    ASSERT_FALSE(seen[value]) << "n=" << n << " position " << i;
    seen[value] = true;
  }
}

TEST(PermutationTest, EverySmallSizeIsABijection) {
  for (uint64_t n = 1; n <= 300; ++n) {
    for (uint64_t data_pass = 0; data_pass < 3; ++data_pass) ExpectBijection(n, 1, data_pass);
  }
}

TEST(PermutationTest, SizesAroundPowersAndOfRealDatasetsAreBijections) {
  for (const uint64_t n :
       std::initializer_list<uint64_t>{1023, 1024, 1025, 4095, 4096, 4097, 10'000, 16'385, 50'000,
                                       60'000, 65'535, 65'536, 65'537}) {
    ExpectBijection(n, 0xFFFFFFFFFFFFFFFF, 5);
  }
}

// Numbers of tests/golden/sampler.py.
TEST(PermutationTest, EqualsTheSecondImplementation) {
  EXPECT_EQ(All(Permutation(10, 1, 0)), std::vector<uint64_t>({6, 9, 8, 5, 1, 2, 0, 4, 3, 7}));
  EXPECT_EQ(All(Permutation(10, 1, 1)), std::vector<uint64_t>({1, 8, 0, 6, 7, 4, 3, 2, 9, 5}));
  const Permutation mnist(60'000, 42, 7);
  EXPECT_EQ(mnist.At(0), 40'580u);
  EXPECT_EQ(mnist.At(1), 46'128u);
  EXPECT_EQ(mnist.At(2), 48'660u);
  EXPECT_EQ(mnist.At(59'998), 58'493u);
  EXPECT_EQ(mnist.At(59'999), 47'363u);
  const uint64_t n = (uint64_t{1} << 40) + 12'345;
  const Permutation large(n, (uint64_t{1} << 63) + 1, uint64_t{1} << 33);
  EXPECT_EQ(large.At(0), 119'026'674'061u);
  EXPECT_EQ(large.At(1), 543'529'353'645u);
  EXPECT_EQ(large.At(n - 1), 922'525'181'247u);
}

TEST(PermutationTest, LargestSizeStaysInside) {
  const uint64_t n = uint64_t{1} << 62;
  const Permutation permutation(n, 3, 4);
  for (const uint64_t position : {uint64_t{0}, n / 2, n - 1}) {
    EXPECT_LT(permutation.At(position), n);
  }
}

// Of 60,000 positions two unrelated permutations share about one; more than ten is no accident.
TEST(PermutationTest, SeedsAndDataPassesGiveUnrelatedOrders) {
  const std::vector<uint64_t> order = All(Permutation(60'000, 1, 0));
  for (const Permutation& other : {Permutation(60'000, 1, 1), Permutation(60'000, 1, 2),
                                   Permutation(60'000, 2, 0), Permutation(60'000, 1ull << 40, 0)}) {
    const std::vector<uint64_t> other_order = All(other);
    int shared = 0;
    for (size_t i = 0; i < order.size(); ++i) shared += order[i] == other_order[i] ? 1 : 0;
    EXPECT_LT(shared, 10);
  }
}

// Chi-squared over 100 x 100 cells of (position, value): 10,000 cells of 6 expected, 9,801 degrees
// of freedom, standard deviation 140. Five of them either way.
TEST(PermutationTest, ValuesSpreadEvenlyOverPositions) {
  const Permutation permutation(60'000, 7, 3);
  std::vector<int> cells(10'000, 0);
  for (uint64_t i = 0; i < 60'000; ++i) ++cells[i / 600 * 100 + permutation.At(i) / 600];
  double chi_squared = 0;
  for (const int count : cells) chi_squared += (count - 6.0) * (count - 6.0) / 6.0;

  EXPECT_NEAR(chi_squared, 9801, 700);
}

}  // namespace
}  // namespace drover
