#include "worker/nn/mean_squared_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/unit/worker/nn/layer_probe.h"

namespace drover {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

BatchResult LossOf(MeanSquaredError* loss, const Batch& batch, const std::vector<float>& output,
                   std::vector<float>* gradient) {
  return loss
      ->Run({.batch = &batch,
             .training = true,
             .input = output.data(),
             .weights = {},
             .input_gradient = gradient == nullptr ? nullptr : gradient->data(),
             .weight_gradients = {}})
      .value();
}

// 2 * nn.MSELoss()(y, one_hot([2, 0], 3)) and its gradient in PyTorch, float64: a sum over the two
// samples instead of their mean.
TEST(MeanSquaredErrorTest, EqualsPyTorchOnClasses) {
  MeanSquaredError loss(/*micro_batch=*/3, /*outputs=*/3, /*classes=*/3);
  const std::vector<float> output = {0.5f, -1.25f, 2.0f, 0.0f, 3.0f, -0.5f, 9.0f, 9.0f, 9.0f};
  const std::vector<int32_t> labels = {2, 0};
  std::vector<float> gradient(9, kNan);

  const BatchResult result =
      LossOf(&loss, {.labels = labels.data(), .samples = 2}, output, &gradient);

  EXPECT_NEAR(result.loss_sum, 4.354166666666667, 1e-12);
  EXPECT_EQ(result.samples, 2);
  EXPECT_EQ(result.correct, 1);
  const std::vector<double> expected = {0.3333333333333333,
                                        -0.8333333333333333,
                                        0.6666666666666666,
                                        -0.6666666666666666,
                                        2.0,
                                        -0.3333333333333333,
                                        0.0,
                                        0.0,
                                        0.0};  // No third sample.
  for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(gradient[i], expected[i], 1e-7) << i;
}

TEST(MeanSquaredErrorTest, GradientOfTargetsEqualsDifferences) {
  constexpr int64_t kSamples = 4;
  MeanSquaredError loss(kSamples, /*outputs=*/5, /*classes=*/0);
  std::vector<float> output = ProbeNoise(20, 1);
  const std::vector<float> targets = ProbeNoise(20, 2);
  const Batch batch = {.samples = kSamples, .targets = targets.data()};
  std::vector<float> gradient(20, kNan);

  const BatchResult result = LossOf(&loss, batch, output, &gradient);

  EXPECT_EQ(result.correct, 0);
  // The loss is quadratic: no step is too wide, and a wide one has the least rounding.
  for (size_t i = 0; i < 20; ++i) {
    const float original = output[i];
    const float up = original + 0.25f;
    const float down = original - 0.25f;
    output[i] = up;
    const double above = LossOf(&loss, batch, output, nullptr).loss_sum;
    output[i] = down;
    const double below = LossOf(&loss, batch, output, nullptr).loss_sum;
    output[i] = original;
    EXPECT_NEAR(gradient[i], (above - below) / (double{up} - down), 1e-6) << i;
  }
}

TEST(MeanSquaredErrorTest, NanReachesLossAndGradient) {
  MeanSquaredError loss(1, 2, 2);
  const std::vector<int32_t> labels = {0};
  std::vector<float> gradient(2);

  const BatchResult result =
      LossOf(&loss, {.labels = labels.data(), .samples = 1}, {0.5f, kNan}, &gradient);

  EXPECT_TRUE(std::isnan(result.loss_sum));
  EXPECT_TRUE(std::isnan(gradient[1]));
}

TEST(MeanSquaredErrorTest, RefusesBatchesWithoutWhatItNeeds) {
  const MeanSquaredError classes(2, 3, 3);
  const MeanSquaredError targets(2, 3, 0);
  const std::vector<int32_t> labels = {0, 3};

  EXPECT_EQ(classes.Check({.samples = 2}).message(),
            "mean squared error: the dataset has no labels of classes");
  EXPECT_THAT(classes.Check({.labels = labels.data(), .samples = 2}).message(),
              testing::HasSubstr("label 3 of sample 1, expected 0 to 2"));
  EXPECT_EQ(targets.Check({.labels = labels.data(), .samples = 2}).message(),
            "mean squared error: the dataset has no targets");
}

TEST(MeanSquaredErrorTest, RefusesClassesThatDoNotFitTheOutput) {
  const auto refusal = [](int64_t classes, const Dims& input) {
    return std::string(
        MakeHead({.kind = MeanSquaredErrorSpec{.classes = classes}}, input, {.micro_batch = 1})
            .status()
            .message());
  };
  EXPECT_EQ(refusal(1, {1}),
            "mean squared error: classes=1, expected 2 to 1048576, or 0 for targets");
  EXPECT_EQ(refusal(4, {3}),
            "mean squared error: the last layer makes 3, expected one value for each of 4 classes");
  EXPECT_EQ(refusal(0, {3, 2}), "");
}

}  // namespace
}  // namespace drover
