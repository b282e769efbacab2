// Convolution, max pooling and recurrent layers against PyTorch (tests/golden/layers.py), against
// differences of their own forward pass, and in what they refuse.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/unit/worker/nn/layer_probe.h"
#include "worker/nn/network_spec.h"
#include "worker/nn/recurrent_direction.h"

namespace drover {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const json& Golden() {
  static const json golden = [] {
    std::ifstream file(DROVER_GOLDEN_DIR "/layers.json");
    return json::parse(file);
  }();
  return golden;
}

LayerSpec SpecOf(const json& c) {
  const std::string kind = c.at("kind");
  const auto padding = [&] { return c.at("padding") == "same" ? Padding::kSame : Padding::kValid; };
  if (kind == "convolution") {
    return {.name = "layer",
            .kind = ConvolutionSpec{.filters = c.at("filters"),
                                    .kernel = c.at("kernel"),
                                    .stride = c.at("stride"),
                                    .padding = padding(),
                                    .weight_init = {}}};
  }
  if (kind == "max_pooling") {
    return {.name = "layer",
            .kind = MaxPoolingSpec{
                .size = c.at("size"), .stride = c.at("stride"), .padding = padding()}};
  }
  return {.name = "layer",
          .kind = RecurrentSpec{.cell = kind == "rnn"   ? RecurrentSpec::Cell::kRnn
                                        : kind == "gru" ? RecurrentSpec::Cell::kGru
                                                        : RecurrentSpec::Cell::kLstm,
                                .size = c.at("size"),
                                .bidirectional = c.at("bidirectional"),
                                .last_only = c.at("last_only")}};
}

// The case's layer with the case's input, loss and tensors.
LayerProbe ProbeOf(const json& c, Precision precision = Precision::kF32) {
  const int64_t samples = Golden().at("samples");
  Batch batch;
  batch.samples = samples;
  LayerProbe probe(SpecOf(c), c.at("dims").get<Dims>(), batch, samples, /*reads_values=*/true,
                   precision);
  probe.input() = c.at("input").get<std::vector<float>>();
  probe.loss_weights() = c.at("loss_weights").get<std::vector<float>>();
  for (size_t t = 0; t < c.at("tensors").size(); ++t) {
    EXPECT_EQ(probe.tensors().at(t).name, c.at("tensors")[t].at("name"));
    probe.weights().at(t) = c.at("tensors")[t].at("values").get<std::vector<float>>();
  }
  return probe;
}

void ExpectNear(const std::vector<float>& got, const json& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const double expected = want[i].get<double>();
    ASSERT_NEAR(got[i], expected, tolerance * (1 + std::abs(expected))) << "[" << i << "]";
  }
}

void ExpectEqualsGolden(const json& c, LayerProbe* probe, double tolerance) {
  const LayerProbe::Gradients gradients = probe->Backward();
  ExpectNear(probe->output(), c.at("output"), tolerance);
  ExpectNear(gradients.input, c.at("input_gradient"), tolerance);
  for (size_t t = 0; t < gradients.weights.size(); ++t) {
    SCOPED_TRACE(c.at("tensors")[t].at("name"));
    ExpectNear(gradients.weights[t], c.at("tensors")[t].at("gradient"), tolerance);
  }
}

class GoldenLayerTest : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    ASSERT_LT(GetParam(), Golden().at("cases").size());
    case_ = &Golden().at("cases")[GetParam()];
  }

  const json* case_ = nullptr;
};

// A sum of n products of float32 is off by about n^(1/2) 2^-24; the longest here has 300.
TEST_P(GoldenLayerTest, EqualsPyTorch) {
  LayerProbe probe = ProbeOf(*case_);

  ExpectEqualsGolden(*case_, &probe, 3e-6);
}

TEST_P(GoldenLayerTest, AddsToGradientsWhenAsked) {
  LayerProbe probe = ProbeOf(*case_);
  const LayerProbe::Gradients stored = probe.Backward(/*accumulate=*/false);

  const LayerProbe::Gradients added = probe.Backward(/*accumulate=*/true, /*fill=*/64.0f);

  EXPECT_EQ(added.input, stored.input);
  for (size_t t = 0; t < stored.weights.size(); ++t) {
    for (size_t i = 0; i < stored.weights[t].size(); ++i) {
      ASSERT_NEAR(added.weights[t][i], stored.weights[t][i] + 64.0f, 2e-5) << t << "," << i;
    }
  }
}

TEST_P(GoldenLayerTest, GradientsEqualDifferences) {
  LayerProbe probe = ProbeOf(*case_);
  if (case_->at("kind") ==
      "max_pooling") {  // Has no derivative where values of a window are equal.
    for (size_t i = 0; i < probe.input().size(); ++i) {
      probe.input()[i] = static_cast<float>(i * 7919 % 1009) / 64;
    }
  }

  probe.ExpectGradientsEqualDifferences(4e-3);
}

// Factors are rounded to 8 bits: each product is off by at most 2^-8, and sums of many less.
TEST_P(GoldenLayerTest, Bfloat16IsNear) {
  LayerProbe probe = ProbeOf(*case_, Precision::kBf16);

  ExpectEqualsGolden(*case_, &probe, 3e-2);
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenLayerTest, testing::Range(size_t{0}, size_t{27}),
                         [](const auto& param) {
                           const json& c = Golden().at("cases").at(param.param);
                           return c.at("kind").get<std::string>() + std::to_string(param.param);
                         });

TEST(GoldenLayersTest, EveryCaseOfTheFileIsRun) { EXPECT_EQ(Golden().at("cases").size(), 27u); }

std::string Refusal(const LayerSpec& spec, const Dims& input) {
  return MakeLayer(spec, input, {.micro_batch = 4}).status().message();
}

TEST(ConvolutionTest, RefusesWhatDoesNotFit) {
  const auto refusal = [](const ConvolutionSpec& spec, const Dims& input) {
    return Refusal({.name = "c", .kind = spec}, input);
  };
  EXPECT_EQ(refusal({.filters = 2, .weight_init = {}}, {784}),
            "c (convolution): input 784, expected height x width x channels");
  EXPECT_THAT(refusal({.filters = 0, .weight_init = {}}, {8, 8, 1}), HasSubstr("filters=0"));
  EXPECT_THAT(refusal({.filters = 2, .kernel = 0, .weight_init = {}}, {8, 8, 1}),
              HasSubstr("kernel=0, expected 1 to"));
  EXPECT_THAT(refusal({.filters = 2, .stride = 0, .weight_init = {}}, {8, 8, 1}),
              HasSubstr("stride=0, expected 1 to"));
  EXPECT_EQ(refusal({.filters = 2, .kernel = 9, .padding = Padding::kValid, .weight_init = {}},
                    {8, 12, 1}),
            "c (convolution): kernel=9 on 8x12x1, expected a smaller one, or padding: same");
}

TEST(MaxPoolingTest, RefusesWhatDoesNotFit) {
  const auto refusal = [](const MaxPoolingSpec& spec, const Dims& input) {
    return Refusal({.name = "", .kind = spec}, input);
  };
  EXPECT_THAT(refusal({}, {28, 28}), HasSubstr("input 28x28, expected height x width x channels"));
  EXPECT_THAT(refusal({.size = 0}, {8, 8, 1}), HasSubstr("size=0"));
  EXPECT_THAT(refusal({.stride = -1}, {8, 8, 1}), HasSubstr("stride=-1"));
  EXPECT_THAT(refusal({.size = 3, .padding = Padding::kValid}, {2, 8, 1}),
              HasSubstr("size=3 on 2x8x1"));
}

TEST(RecurrentTest, RefusesWhatDoesNotFit) {
  const auto refusal = [](const RecurrentSpec& spec, const Dims& input) {
    return Refusal({.name = "r", .kind = spec}, input);
  };
  EXPECT_EQ(refusal({.size = 8}, {784}),
            "r (recurrent): input 784, expected a sequence, time steps x features");
  EXPECT_THAT(refusal({.size = 0}, {28, 28}), HasSubstr("size=0, expected 1 to"));
  EXPECT_THAT(refusal({.size = 16384}, {65536, 1}), HasSubstr("choose a smaller micro_batch"));
}

TEST(RecurrentTest, GatesThatKeepTheStateBeginOpen) {
  const auto bias_of = [](RecurrentSpec::Cell cell) {
    const Result<std::unique_ptr<Layer>> layer = MakeLayer(
        {.name = "r", .kind = RecurrentSpec{.cell = cell, .size = 2}}, {5, 3}, {.micro_batch = 1});
    const TensorSpec bias = layer.value()->tensors().at(kInputBias);
    std::vector<float> values(static_cast<size_t>(bias.shape[0]));
    FillInitial(bias.init, 1, 0, 0, values.size(), values.data());
    return values;
  };
  EXPECT_EQ(bias_of(RecurrentSpec::Cell::kRnn), std::vector<float>({0, 0}));
  EXPECT_EQ(bias_of(RecurrentSpec::Cell::kGru), std::vector<float>({1, 1, 1, 1, 0, 0}));
  EXPECT_EQ(bias_of(RecurrentSpec::Cell::kLstm), std::vector<float>({0, 0, 1, 1, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace drover
