// The matrix product against a loop in float64, in both precisions.

#include "worker/nn/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/base/philox.h"
#include "common/tensor/bf16.h"

namespace drover {
namespace {

struct Case {
  int64_t m, n, k;
  bool a_transposed, b_transposed;
  float alpha, beta;
};

class GemmTest : public testing::TestWithParam<std::tuple<Case, Precision>> {};

// Uniform in [-1, 1).
std::vector<float> Noise(int64_t count, uint64_t seed) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(2.0f * UnitFloat(Philox(seed, 0, static_cast<uint64_t>(i))[0]) - 1.0f);
  }
  return values;
}

// Rows lie three values further apart than they are long: what is between them is not touched.
TEST_P(GemmTest, EqualsTheLoopOverRoundedFactors) {
  const auto [c, precision] = GetParam();
  const int64_t a_stride = (c.a_transposed ? c.m : c.k) + 3;
  const int64_t b_stride = (c.b_transposed ? c.k : c.n) + 3;
  const int64_t out_stride = c.n + 3;
  const std::vector<float> a = Noise((c.a_transposed ? c.k : c.m) * a_stride, 1);
  const std::vector<float> b = Noise((c.b_transposed ? c.n : c.k) * b_stride, 2);
  const std::vector<float> before = Noise(c.m * out_stride, 3);
  std::vector<float> out = before;

  ASSERT_TRUE(Gemm({c.m, c.n, c.k, precision}, c.alpha, {a.data(), a_stride, c.a_transposed},
                   {b.data(), b_stride, c.b_transposed}, c.beta, {out.data(), out_stride})
                  .ok());

  const auto factor = [precision = precision](float value) {
    return double{precision == Precision::kBf16 ? FromBf16(ToBf16(value)) : value};
  };
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t j = 0; j < c.n; ++j) {
      double sum = 0;
      double sizes = 0;
      for (int64_t l = 0; l < c.k; ++l) {
        const int64_t at = c.a_transposed ? l * a_stride + i : i * a_stride + l;
        const int64_t bt = c.b_transposed ? j * b_stride + l : l * b_stride + j;
        const double product =
            factor(a[static_cast<size_t>(at)]) * factor(b[static_cast<size_t>(bt)]);
        sum += product;
        sizes += std::abs(product);
      }
      // Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1: a sum of n products
      // in any order is off by at most n u sum |products|, u = 2^-24; alpha and beta are two more.
      const double bound = static_cast<double>(c.k + 3) * 0x1p-24 * (sizes + 1.0);
      const auto here = static_cast<size_t>(i * out_stride + j);
      ASSERT_NEAR(out[here], c.alpha * sum + c.beta * before[here], bound) << i << "," << j;
    }
    for (int64_t j = c.n; j < out_stride; ++j) {
      const auto gap = static_cast<size_t>(i * out_stride + j);
      ASSERT_EQ(out[gap], before[gap]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(ShapesAndPrecisions, GemmTest,
                         testing::Combine(testing::Values(Case{1, 1, 1, false, false, 1, 0},
                                                          Case{5, 7, 3, true, false, 1, 1},
                                                          Case{64, 10, 130, false, true, 1, 0},
                                                          Case{33, 65, 17, true, true, 0.125f, 0},
                                                          Case{40, 48, 200, false, false, 0.5f, 1},
                                                          Case{128, 784, 64, true, false, 1, 1}),
                                          testing::Values(Precision::kF32, Precision::kBf16)));

}  // namespace
}  // namespace drover
