// The network of the optimizer primer: two inputs, two hidden units with the logistic function, one
// output, mean squared error. Small enough to differentiate by hand, number by number.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/worker/nn/mlp_fixture.h"

namespace drover {
namespace {

constexpr size_t kSamples = 2;
constexpr double kX[kSamples][2] = {{1.0, 2.0}, {-0.5, 0.25}};
constexpr double kTarget[kSamples] = {1.0, -0.75};
// w1 w2: from both inputs to the first hidden unit, w3 w4: to the second; w5 w6: from the hidden
// units to the output.
constexpr double kW1 = 0.5, kW2 = -0.25, kW3 = 0.75, kW4 = 1.0, kB1 = 0.125, kB2 = -0.5;
constexpr double kW5 = 1.5, kW6 = -2.0, kB3 = 0.25;

struct Gradient {
  double loss = 0, w1 = 0, w2 = 0, w3 = 0, w4 = 0, b1 = 0, b2 = 0, w5 = 0, w6 = 0, b3 = 0;
};

double Logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// The chain rule from the loss back, for each sample; sums over the samples.
Gradient ByHand() {
  Gradient sum;
  for (size_t n = 0; n < kSamples; ++n) {
    const double x1 = kX[n][0];
    const double x2 = kX[n][1];
    const double h1 = Logistic(kW1 * x1 + kW2 * x2 + kB1);
    const double h2 = Logistic(kW3 * x1 + kW4 * x2 + kB2);
    const double y = kW5 * h1 + kW6 * h2 + kB3;
    const double error = y - kTarget[n];
    sum.loss += error * error;

    const double dy = 2.0 * error;  // loss = (y - t)^2
    sum.w5 += dy * h1;              // y = w5 h1 + w6 h2 + b3
    sum.w6 += dy * h2;
    sum.b3 += dy;
    const double dz1 = dy * kW5 * h1 * (1 - h1);  // h = s(z): dh/dz = h (1 - h)
    const double dz2 = dy * kW6 * h2 * (1 - h2);
    sum.w1 += dz1 * x1;  // z1 = w1 x1 + w2 x2 + b1
    sum.w2 += dz1 * x2;
    sum.b1 += dz1;
    sum.w3 += dz2 * x1;  // z2 = w3 x1 + w4 x2 + b2
    sum.w4 += dz2 * x2;
    sum.b2 += dz2;
  }
  return sum;
}

NetworkSpec PrimerNetwork() {
  NetworkSpec network;
  network.input = {2};
  network.layers = {{.name = "hidden", .kind = DenseSpec{.size = 2}},
                    {.name = "", .kind = SigmoidSpec{}},
                    {.name = "output", .kind = DenseSpec{.size = 1}}};
  network.head.kind = MeanSquaredErrorSpec{};
  return network;
}

class PrimerNetworkTest : public testing::Test {
 protected:
  PrimerNetworkTest() {
    Set(0, {kW1, kW2, kW3, kW4});
    Set(1, {kB1, kB2});
    Set(2, {kW5, kW6});
    Set(3, {kB3});
    for (size_t n = 0; n < kSamples; ++n) {
      for (const double x : kX[n]) inputs_.push_back(static_cast<float>(x));
      targets_.push_back(static_cast<float>(kTarget[n]));
    }
  }

  void Set(size_t tensor, const std::vector<double>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      weights_[model_->layout().tensor_offset(tensor) + i] = static_cast<float>(values[i]);
    }
  }

  double At(size_t tensor, size_t i) const {
    return gradient_[model_->layout().tensor_offset(tensor) + i];
  }

  Batch batch() const {
    return {.inputs = inputs_.data(), .samples = kSamples, .targets = targets_.data()};
  }

  // Room for one sample more than there are.
  const std::unique_ptr<Model> model_ = MakeModel(PrimerNetwork(), kSamples + 1);
  std::vector<float> weights_ = ParameterSpace(model_->layout(), 0.0f);
  std::vector<float> gradient_ = ParameterSpace(model_->layout(), 0.0f);
  std::vector<float> inputs_, targets_;
};

TEST_F(PrimerNetworkTest, GradientsAreThoseOfTheChainRule) {
  const Gradient hand = ByHand();

  const BatchResult result =
      model_->ForwardBackward(batch(), weights_.data(), {.base = gradient_.data()}).value();

  EXPECT_NEAR(result.loss_sum, hand.loss, 1e-6);
  EXPECT_NEAR(At(0, 0), hand.w1, 1e-6);
  EXPECT_NEAR(At(0, 1), hand.w2, 1e-6);
  EXPECT_NEAR(At(0, 2), hand.w3, 1e-6);
  EXPECT_NEAR(At(0, 3), hand.w4, 1e-6);
  EXPECT_NEAR(At(1, 0), hand.b1, 1e-6);
  EXPECT_NEAR(At(1, 1), hand.b2, 1e-6);
  EXPECT_NEAR(At(2, 0), hand.w5, 1e-6);
  EXPECT_NEAR(At(2, 1), hand.w6, 1e-6);
  EXPECT_NEAR(At(3, 0), hand.b3, 1e-6);
}

// Linear(2, 2), Sigmoid, Linear(2, 1) and MSELoss(reduction="sum") in PyTorch, float64, with these
// weights and samples.
TEST_F(PrimerNetworkTest, ChainRuleIsThatOfPyTorch) {
  const Gradient hand = ByHand();

  EXPECT_NEAR(hand.loss, 4.07186813658575, 1e-14);
  EXPECT_NEAR(hand.w1, -1.681971400254957, 1e-14);
  EXPECT_NEAR(hand.w2, -2.450802145991781, 1e-14);
  EXPECT_NEAR(hand.w3, 1.054395781031866, 1e-14);
  EXPECT_NEAR(hand.w4, 0.9930871754990058, 1e-14);
  EXPECT_NEAR(hand.b1, -0.5862026148331971, 1e-14);
  EXPECT_NEAR(hand.b2, -0.2844494828458054, 1e-14);
  EXPECT_NEAR(hand.w5, -0.9817467892153408, 1e-14);
  EXPECT_NEAR(hand.w6, -2.503710469536208, 1e-14);
  EXPECT_NEAR(hand.b3, -1.559769017571918, 1e-14);
}

TEST_F(PrimerNetworkTest, DescentByHandLowersTheLoss) {
  const double before = model_->Evaluate(batch(), weights_.data()).value().loss_sum;
  for (int step = 0; step < 50; ++step) {
    ASSERT_TRUE(model_->ForwardBackward(batch(), weights_.data(), {.base = gradient_.data()}).ok());
    for (size_t i = 0; i < weights_.size(); ++i) weights_[i] -= 0.05f * gradient_[i];
  }

  EXPECT_LT(model_->Evaluate(batch(), weights_.data()).value().loss_sum, 0.1 * before);
}

TEST_F(PrimerNetworkTest, WithoutTargetsIsRefused) {
  const Result<BatchResult> result =
      model_->Evaluate({.inputs = inputs_.data(), .samples = kSamples}, weights_.data());

  EXPECT_EQ(result.status().message(), "mean squared error: the dataset has no targets");
}

}  // namespace
}  // namespace drover
