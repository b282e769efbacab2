// Single layers and the loss against slow obvious loops in float64.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/unit/worker/nn/mlp_fixture.h"
#include "worker/nn/linear.h"
#include "worker/nn/relu.h"
#include "worker/nn/softmax_cross_entropy.h"

namespace drover {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Uniform in [-1, 1).
std::vector<float> Noise(size_t count, uint64_t seed) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    values.push_back(2.0f * UnitFloat(Philox(seed, 0, i)[0]) - 1.0f);
  }
  return values;
}

size_t At(int64_t row, int64_t columns, int64_t column) {
  return static_cast<size_t>(row * columns + column);
}

class LinearTest : public testing::TestWithParam<LinearShape> {
 protected:
  const LinearShape shape_ = GetParam();
  const int64_t b_ = shape_.rows, i_ = shape_.input_size, o_ = shape_.output_size;
  const std::vector<float> x_ = Noise(static_cast<size_t>(b_ * i_), 1);
  const std::vector<float> weight_ = Noise(static_cast<size_t>(o_ * i_), 2);
  const std::vector<float> bias_ = Noise(static_cast<size_t>(o_), 3);
  const std::vector<float> dy_ = Noise(static_cast<size_t>(b_ * o_), 4);
  // Rounding of a sum of n products below 1: about n^(1/2) * 2^-24, ten times that.
  const double tolerance_ = 6e-7 * std::sqrt(static_cast<double>(std::max({b_, i_, o_})));
};

TEST_P(LinearTest, ForwardEqualsTheLoop) {
  std::vector<float> y(static_cast<size_t>(b_ * o_), kNan);

  ASSERT_TRUE(LinearForwardCpu(shape_, x_.data(), weight_.data(), bias_.data(), y.data()).ok());

  for (int64_t b = 0; b < b_; ++b) {
    for (int64_t o = 0; o < o_; ++o) {
      double sum = bias_[static_cast<size_t>(o)];
      for (int64_t i = 0; i < i_; ++i) sum += double{x_[At(b, i_, i)]} * weight_[At(o, i_, i)];
      ASSERT_NEAR(y[At(b, o_, o)], sum, tolerance_) << b << "," << o;
    }
  }
}

TEST_P(LinearTest, BackwardEqualsTheLoopStoringAndAdding) {
  std::vector<float> dweight(weight_.size(), kNan);
  std::vector<float> dbias(bias_.size(), kNan);
  std::vector<float> dx(x_.size(), kNan);

  // Stored once, added once: twice the sums.
  for (const bool accumulate : {false, true}) {
    ASSERT_TRUE(LinearBackwardWeightsCpu(shape_, x_.data(), dy_.data(), accumulate, dweight.data(),
                                         dbias.data())
                    .ok());
  }
  ASSERT_TRUE(LinearBackwardDataCpu(shape_, dy_.data(), weight_.data(), dx.data()).ok());

  for (int64_t o = 0; o < o_; ++o) {
    double bias_sum = 0;
    for (int64_t b = 0; b < b_; ++b) bias_sum += dy_[At(b, o_, o)];
    ASSERT_NEAR(dbias[static_cast<size_t>(o)], 2 * bias_sum, 2 * tolerance_);
    for (int64_t i = 0; i < i_; ++i) {
      double sum = 0;
      for (int64_t b = 0; b < b_; ++b) sum += double{dy_[At(b, o_, o)]} * x_[At(b, i_, i)];
      ASSERT_NEAR(dweight[At(o, i_, i)], 2 * sum, 2 * tolerance_) << o << "," << i;
    }
  }
  for (int64_t b = 0; b < b_; ++b) {
    for (int64_t i = 0; i < i_; ++i) {
      double sum = 0;
      for (int64_t o = 0; o < o_; ++o) sum += double{dy_[At(b, o_, o)]} * weight_[At(o, i_, i)];
      ASSERT_NEAR(dx[At(b, i_, i)], sum, tolerance_) << b << "," << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearTest,
                         testing::Values(LinearShape{1, 1, 1}, LinearShape{1, 7, 3},
                                         LinearShape{5, 1, 2}, LinearShape{64, 784, 10},
                                         LinearShape{33, 130, 65}, LinearShape{200, 400, 17}));

TEST(ReluTest, CutsAtZeroAndPassesNan) {
  std::vector<float> values = {-2.0f, -0.0f, 0.0f, 3.0f, -kInfinity, kInfinity, kNan};

  ReluForwardCpu(7, values.data(), values.data());

  EXPECT_EQ(std::vector<float>(values.begin(), values.end() - 1),
            std::vector<float>({0.0f, 0.0f, 0.0f, 3.0f, 0.0f, kInfinity}));
  EXPECT_TRUE(std::isnan(values[6]));
}

TEST(ReluTest, GradientPassesWhereTheOutputIsPositive) {
  const std::vector<float> output = {0.0f, 3.0f, 0.0f, 1e-30f};
  std::vector<float> gradient = {5.0f, 6.0f, kNan, -8.0f};

  ReluBackwardCpu(4, output.data(), gradient.data(), gradient.data());

  EXPECT_EQ(gradient, std::vector<float>({0.0f, 6.0f, 0.0f, -8.0f}));
}

TEST(SoftmaxCrossEntropyTest, EqualsTheFormulaInFloat64) {
  constexpr int64_t kSamples = 300;
  constexpr int64_t kClasses = 11;
  std::vector<float> logits = Noise(kSamples * kClasses, 9);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] *= static_cast<float>(i % 120);
  std::vector<float> gradient(logits.size(), kNan);

  for (int64_t s = 0; s < kSamples; ++s) {
    const float* row = logits.data() + s * kClasses;
    const int32_t label = static_cast<int32_t>(s % kClasses);
    bool correct = false;
    const double loss = SoftmaxCrossEntropySampleCpu(row, kClasses, label, &correct,
                                                     gradient.data() + s * kClasses);

    const float largest = *std::max_element(row, row + kClasses);
    double sum = 0;
    for (int64_t j = 0; j < kClasses; ++j) sum += std::exp(double{row[j]} - largest);
    ASSERT_NEAR(loss, std::log(sum) + largest - row[label], 1e-6 * (1 + std::abs(loss)));
    ASSERT_EQ(correct, row[label] == largest);
    for (int64_t j = 0; j < kClasses; ++j) {
      const double p = std::exp(double{row[j]} - largest) / sum;
      ASSERT_NEAR(gradient[At(s, kClasses, j)], p - (j == label ? 1 : 0), 3e-7);
    }
  }
}

TEST(SoftmaxCrossEntropyTest, HugeLogitsNeitherOverflowNorVanish) {
  const std::vector<float> logits = {1e30f, -1e30f, 3e38f};
  std::vector<float> gradient(3);
  bool correct = false;

  const double sure = SoftmaxCrossEntropySampleCpu(logits.data(), 3, 2, &correct, gradient.data());
  const double wrong = SoftmaxCrossEntropySampleCpu(logits.data(), 3, 0, &correct, nullptr);

  EXPECT_EQ(sure, 0.0);
  EXPECT_EQ(gradient, std::vector<float>({0.0f, 0.0f, 0.0f}));
  EXPECT_NEAR(wrong, 3e38, 1e31);
  EXPECT_FALSE(correct);
}

TEST(SoftmaxCrossEntropyTest, FirstOfEqualLogitsIsTheAnswer) {
  const std::vector<float> logits = {1.0f, 2.0f, 2.0f};
  bool first = false;
  bool second = false;

  (void)SoftmaxCrossEntropySampleCpu(logits.data(), 3, 1, &first, nullptr);
  (void)SoftmaxCrossEntropySampleCpu(logits.data(), 3, 2, &second, nullptr);

  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
}

TEST(SoftmaxCrossEntropyTest, NanReachesLossAndGradient) {
  for (size_t where = 0; where < 3; ++where) {
    std::vector<float> logits = {1.0f, 2.0f, 0.5f};
    logits[where] = kNan;
    std::vector<float> gradient(3);
    bool correct = false;

    const double loss =
        SoftmaxCrossEntropySampleCpu(logits.data(), 3, 1, &correct, gradient.data());

    EXPECT_TRUE(std::isnan(loss)) << where;
    for (const float g : gradient) EXPECT_TRUE(std::isnan(g)) << where;
  }
}

TEST(SoftmaxCrossEntropyTest, RowsBeyondTheSamplesHaveNoGradient) {
  SoftmaxCrossEntropy loss(/*micro_batch=*/3, /*classes=*/2);
  const std::vector<float> logits = {1, 2, 3, 4, 5, 6};
  const std::vector<int32_t> labels = {1};
  std::vector<float> gradient(6, kNan);

  const Batch batch = {.labels = labels.data(), .samples = 1};

  const BatchResult result = loss.Run({.batch = &batch,
                                       .training = true,
                                       .input = logits.data(),
                                       .weights = {},
                                       .input_gradient = gradient.data(),
                                       .weight_gradients = {}})
                                 .value();

  EXPECT_EQ(result.samples, 1);
  EXPECT_EQ(result.correct, 1);
  EXPECT_NEAR(result.loss_sum, 0.31326168751822286, 1e-7);  // log(1 + e^-1)
  EXPECT_EQ(std::vector<float>(gradient.begin() + 2, gradient.end()), std::vector<float>(4, 0.0f));
}

}  // namespace
}  // namespace drover
