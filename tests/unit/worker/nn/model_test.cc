#include "worker/nn/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/unit/worker/nn/mlp_fixture.h"

namespace drover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

NetworkSpec SmallMlp() { return MlpNetwork({6}, {5, 4}, 3); }

TEST(ModelTest, NamesShapesAndInitialisesTensorsInLayerOrder) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 8);

  // Bounds by hand: sqrt(6 / fan_in) in front of a ReLU, sqrt(3 / fan_in) in front of the loss.
  const InitRule zero = {InitRule::Kind::kConstant, 0.0f};
  EXPECT_THAT(
      model->tensors(),
      ElementsAre(TensorSpec{"dense0.weight", {5, 6}, {InitRule::Kind::kUniform, 1.0f}},
                  TensorSpec{"dense0.bias", {5}, zero},
                  TensorSpec{"dense1.weight", {4, 5}, {InitRule::Kind::kUniform, 1.0954452f}},
                  TensorSpec{"dense1.bias", {4}, zero},
                  TensorSpec{"dense2.weight", {3, 4}, {InitRule::Kind::kUniform, 0.8660254f}},
                  TensorSpec{"dense2.bias", {3}, zero}));
  EXPECT_EQ(model->layout().hash(), Layout::Make(model->tensors()).value().hash());
}

TEST(ModelTest, WithoutHiddenLayersIsSoftmaxRegression) {
  const std::unique_ptr<Model> model = MakeModel(MlpNetwork({6}, {}, 3), 8);

  EXPECT_EQ(model->tensors().size(), 2u);
}

TEST(ModelTest, RefusesNetworksThatDoNotFitAndNamesTheLayer) {
  const auto refusal = [](const NetworkSpec& network, int64_t micro_batch) {
    const Result<std::unique_ptr<Model>> model = Model::Make(network, {.micro_batch = micro_batch});
    EXPECT_EQ(model.status().code(), Code::kInvalidArgument);
    return model.status().message();
  };
  EXPECT_THAT(refusal(MlpNetwork({0}, {}, 3), 8), HasSubstr("model: input 0, expected 1 to 3"));
  EXPECT_EQ(refusal(MlpNetwork({6}, {5, -4}, 3), 8),
            "model: layer 4: dense1 (dense): size=-4, expected 1 to 1048576");
  EXPECT_EQ(refusal(MlpNetwork({6}, {}, 1), 8),
            "model: softmax cross-entropy: classes=1, expected 2 to 1048576");
  EXPECT_EQ(refusal(MlpNetwork({6}, std::vector<int64_t>(600, 4), 3), 8),
            "model: 1202 layers, expected at most 1000");
  EXPECT_EQ(refusal(SmallMlp(), 0), "model: micro_batch=0, expected 1 to 65536");
  EXPECT_EQ(refusal(SmallMlp(), 65537), "model: micro_batch=65537, expected 1 to 65536");
  EXPECT_THAT(refusal(MlpNetwork({6}, {1 << 20}, 3), 65536),
              HasSubstr("choose a smaller micro_batch"));

  NetworkSpec network = SmallMlp();
  network.head.kind = SoftmaxCrossEntropySpec{.classes = 4};
  EXPECT_EQ(
      refusal(network, 8),
      "model: softmax cross-entropy: the last layer makes 3, expected one value for each of 4 "
      "classes");
  network = SmallMlp();
  network.layers[3].name = "dense0";
  EXPECT_THAT(refusal(network, 8), HasSubstr("two layers have a tensor \"dense0.weight\""));
  network = SmallMlp();
  network.layers.insert(network.layers.begin(), {.name = "", .kind = ResidualSpec{network.layers}});
  EXPECT_EQ(refusal(network, 8),
            "model: layer 1: residual: its layers make 3 of 6, expected the same shape");
  network = SmallMlp();
  for (int i = 0; i < 9; ++i) network.layers = {{.name = "", .kind = ResidualSpec{network.layers}}};
  EXPECT_EQ(refusal(network, 8), "model: 9 residual blocks inside each other, expected at most 8");
  network.layers = {
      {.name = "", .kind = ResidualSpec{std::vector<LayerSpec>(1000, {"", ReluSpec{}})}}};
  EXPECT_EQ(refusal(network, 8), "model: 1001 layers, expected at most 1000");
}

TEST(ModelTest, RefusesBadBatchesAndWritesNothing) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 4);
  const std::vector<float> weights = InitialWeights(model->layout(), 1);
  std::vector<float> gradient = ParameterSpace(model->layout(), 7.0f);
  int calls = 0;
  const GradientSink sink = {gradient.data(), true, [&calls](size_t) { ++calls; }};
  OwnedBatch batch = MakeBatch(5, 6, 3, 2);

  const Result<BatchResult> too_many = model->ForwardBackward(batch.view(), weights.data(), sink);
  const Result<BatchResult> none =
      model->Evaluate({batch.inputs.data(), batch.labels.data(), 0}, weights.data());
  batch.labels.resize(4);
  batch.labels[2] = 3;
  const Result<BatchResult> label = model->ForwardBackward(batch.view(), weights.data(), sink);
  batch.labels[2] = -1;
  const Result<BatchResult> negative = model->Evaluate(batch.view(), weights.data());

  EXPECT_EQ(too_many.status().message(), "micro-batch of 5 samples, expected 1 to 4");
  EXPECT_EQ(none.status().message(), "micro-batch of 0 samples, expected 1 to 4");
  EXPECT_THAT(label.status().message(), HasSubstr("label 3 of sample 2, expected 0 to 2"));
  EXPECT_THAT(negative.status().message(), HasSubstr("label -1 of sample 2, expected 0 to 2"));
  EXPECT_EQ(gradient, ParameterSpace(model->layout(), 7.0f));
  EXPECT_EQ(calls, 0);
}

TEST(ModelTest, ReportsFinalTensorsLastLayerFirst) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 4);
  const OwnedBatch batch = MakeBatch(4, 6, 3, 2);
  const std::vector<float> weights = InitialWeights(model->layout(), 1);
  std::vector<float> gradient = ParameterSpace(model->layout(), 0.0f);
  std::vector<float> when_reported = gradient;
  std::vector<size_t> order;
  const auto on_final = [&](size_t tensor) {
    order.push_back(tensor);
    const auto begin = static_cast<int64_t>(model->layout().tensor_offset(tensor));
    const auto size = static_cast<int64_t>(model->layout().tensor_size(tensor));
    std::copy_n(gradient.begin() + begin, size, when_reported.begin() + begin);
  };

  ASSERT_TRUE(
      model->ForwardBackward(batch.view(), weights.data(), {gradient.data(), true, on_final}).ok());

  EXPECT_THAT(order, ElementsAre(5, 4, 3, 2, 1, 0));
  EXPECT_EQ(when_reported, gradient);
}

TEST(ModelTest, FirstMicroBatchStoresOverGarbageAndLeavesGapsAlone) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 4);
  const OwnedBatch batch = MakeBatch(4, 6, 3, 2);
  const std::vector<float> weights = InitialWeights(model->layout(), 1);
  std::vector<float> zeroed = ParameterSpace(model->layout(), 0.0f);
  std::vector<float> garbage = ParameterSpace(model->layout(), NAN);

  ASSERT_TRUE(model->ForwardBackward(batch.view(), weights.data(), {zeroed.data(), true, {}}).ok());
  ASSERT_TRUE(
      model->ForwardBackward(batch.view(), weights.data(), {garbage.data(), true, {}}).ok());

  std::vector<bool> in_tensor(garbage.size(), false);
  for (size_t t = 0; t < model->tensors().size(); ++t) {
    for (uint64_t i = 0; i < model->layout().tensor_size(t); ++i) {
      in_tensor[model->layout().tensor_offset(t) + i] = true;
    }
  }
  for (size_t i = 0; i < garbage.size(); ++i) {
    EXPECT_TRUE(in_tensor[i] ? garbage[i] == zeroed[i] : std::isnan(garbage[i])) << i;
  }
}

TEST(ModelTest, AddingTheSameMicroBatchTwiceDoublesTheGradient) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 4);
  const OwnedBatch batch = MakeBatch(4, 6, 3, 2);
  const std::vector<float> weights = InitialWeights(model->layout(), 1);
  std::vector<float> once = ParameterSpace(model->layout(), 0.0f);
  std::vector<float> twice = once;

  ASSERT_TRUE(model->ForwardBackward(batch.view(), weights.data(), {once.data(), true, {}}).ok());
  ASSERT_TRUE(model->ForwardBackward(batch.view(), weights.data(), {twice.data(), true, {}}).ok());
  ASSERT_TRUE(model->ForwardBackward(batch.view(), weights.data(), {twice.data(), false, {}}).ok());

  for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], 2 * once[i], 1e-5) << i;
}

TEST(ModelTest, WhatLiesBehindAShortBatchDoesNotMatter) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 4);
  const std::vector<float> weights = InitialWeights(model->layout(), 1);
  OwnedBatch batch = MakeBatch(4, 6, 3, 2);
  Batch three = batch.view();
  three.samples = 3;
  std::vector<float> first = ParameterSpace(model->layout(), 0.0f);
  std::vector<float> second = first;

  const BatchResult a =
      model->ForwardBackward(three, weights.data(), {first.data(), true, {}}).value();
  std::fill(batch.inputs.begin() + 18, batch.inputs.end(), NAN);
  batch.labels[3] = 99;
  const BatchResult b =
      model->ForwardBackward(three, weights.data(), {second.data(), true, {}}).value();

  EXPECT_EQ(first, second);
  EXPECT_EQ(a.loss_sum, b.loss_sum);
  EXPECT_EQ(b.samples, 3);
}

TEST(ModelTest, EvaluateReportsTheNumbersOfTraining) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 4);
  const OwnedBatch batch = MakeBatch(3, 6, 3, 2);
  const std::vector<float> weights = InitialWeights(model->layout(), 1);
  std::vector<float> gradient = ParameterSpace(model->layout(), 0.0f);

  const BatchResult trained =
      model->ForwardBackward(batch.view(), weights.data(), {gradient.data(), true, {}}).value();
  const BatchResult evaluated = model->Evaluate(batch.view(), weights.data()).value();

  EXPECT_EQ(evaluated.loss_sum, trained.loss_sum);
  EXPECT_EQ(evaluated.correct, trained.correct);
  EXPECT_EQ(evaluated.samples, trained.samples);
}

TEST(ModelTest, NanInAWeightReachesTheLossAndTheGradient) {
  const std::unique_ptr<Model> model = MakeModel(SmallMlp(), 4);
  const OwnedBatch batch = MakeBatch(4, 6, 3, 2);
  std::vector<float> weights = InitialWeights(model->layout(), 1);
  weights[0] = NAN;
  std::vector<float> gradient = ParameterSpace(model->layout(), 0.0f);

  const Result<BatchResult> result =
      model->ForwardBackward(batch.view(), weights.data(), {gradient.data(), true, {}});

  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(std::isnan(result.value().loss_sum));
  EXPECT_TRUE(std::isnan(gradient[model->layout().tensor_offset(5)]));
}

// Two layers of one name share their tensors: the gradient is the sum of both layers', and the
// tensor is final when the earlier one has added its part.
TEST(ModelTest, SharedTensorsAddUpAndAreFinalOnce) {
  NetworkSpec shared;
  shared.input = {4};
  const DenseSpec square = {.size = 4, .weight_init = {}};
  shared.layers = {{.name = "a", .kind = square}, {.name = "a", .kind = square}};
  shared.head.kind = SoftmaxCrossEntropySpec{.classes = 4};
  NetworkSpec apart = shared;
  apart.layers[1].name = "b";
  const std::unique_ptr<Model> tied = MakeModel(shared, 4);
  const std::unique_ptr<Model> untied = MakeModel(apart, 4);
  const OwnedBatch batch = MakeBatch(4, 4, 4, 2);
  const std::vector<float> weights = InitialWeights(tied->layout(), 1);
  std::vector<float> copied = weights;
  copied.resize(untied->layout().SpanElements(untied->layout().all_blocks()));
  for (size_t t = 0; t < 2; ++t) {
    std::copy_n(weights.data() + tied->layout().tensor_offset(t), tied->layout().tensor_size(t),
                copied.data() + untied->layout().tensor_offset(t + 2));
  }
  std::vector<float> sum = ParameterSpace(tied->layout(), NAN);
  std::vector<float> parts = ParameterSpace(untied->layout(), NAN);
  std::vector<size_t> finals;

  ASSERT_TRUE(tied->ForwardBackward(batch.view(), weights.data(),
                                    {sum.data(), true, [&](size_t t) { finals.push_back(t); }})
                  .ok());
  ASSERT_TRUE(untied->ForwardBackward(batch.view(), copied.data(), {parts.data(), true, {}}).ok());

  EXPECT_EQ(tied->tensors().size(), 2u);
  EXPECT_THAT(finals, ElementsAre(1, 0));
  for (size_t t = 0; t < 2; ++t) {
    for (uint64_t i = 0; i < tied->layout().tensor_size(t); ++i) {
      EXPECT_NEAR(sum[tied->layout().tensor_offset(t) + i],
                  parts[untied->layout().tensor_offset(t) + i] +
                      parts[untied->layout().tensor_offset(t + 2) + i],
                  1e-5);
    }
  }
}

}  // namespace
}  // namespace drover
