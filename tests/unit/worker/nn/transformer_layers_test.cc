// Embedding, layer normalisation, attention, GELU and dropout.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/unit/worker/nn/layer_probe.h"
#include "worker/nn/dropout_mask.h"
#include "worker/nn/gelu.h"
#include "worker/nn/network_spec.h"

namespace drover {
namespace {

using testing::HasSubstr;

constexpr int64_t kSamples = 3;
constexpr int64_t kTokens = 5;
const std::vector<uint64_t> kPositions = {7, 100, 8};
const std::vector<int32_t> kLengths = {5, 2, 4};
const std::vector<int32_t> kTokenIds = {3, 1, 3, 0, 2, 6, 3, 0, 0, 0, 1, 1, 4, 5, 0};
const std::vector<int32_t> kSegments = {0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0};

Batch Text() {
  Batch batch;
  batch.samples = kSamples;
  batch.tokens = kTokenIds.data();
  batch.segments = kSegments.data();
  batch.lengths = kLengths.data();
  batch.seed = 42;
  batch.positions = kPositions.data();
  return batch;
}

LayerProbe NormProbe(int64_t size) {
  return LayerProbe({.name = "norm", .kind = LayerNormSpec{.epsilon = 1e-5}}, {2, size}, Text(),
                    kSamples);
}

// Written again as the formula stands, in double.
TEST(LayerNormTest, EqualsTheFormula) {
  for (const int64_t size : {1, 3, 16, 37}) {
    LayerProbe probe = NormProbe(size);
    for (float& value : probe.input()) value = 3.0f * value + 50.0f;  // A mean far from 0.

    ASSERT_TRUE(probe.Forward().ok());

    for (int64_t row = 0; row < 2 * kSamples; ++row) {
      const float* x = probe.input().data() + row * size;
      double mean = 0;
      double variance = 0;
      for (int64_t i = 0; i < size; ++i) mean += x[i] / static_cast<double>(size);
      for (int64_t i = 0; i < size; ++i) {
        variance += (x[i] - mean) * (x[i] - mean) / static_cast<double>(size);
      }
      for (int64_t i = 0; i < size; ++i) {
        const auto at = static_cast<size_t>(i);
        const double expected =
            (x[i] - mean) / std::sqrt(variance + 1e-5) * probe.weights()[0][at] +
            probe.weights()[1][at];
        // The mean is rounded to float32 at 50: 2e-6, over a deviation of about 1.
        EXPECT_NEAR(probe.output()[static_cast<size_t>(row * size + i)], expected, 1e-5);
      }
    }
  }
}

TEST(LayerNormTest, GradientsEqualDifferences) {
  for (const int64_t size : {3, 16, 21}) NormProbe(size).ExpectGradientsEqualDifferences(1e-3);
}

TEST(LayerNormTest, RefusesAnEpsilonOfZero) {
  const Result<std::unique_ptr<Layer>> layer =
      MakeLayer({.name = "norm", .kind = LayerNormSpec{.epsilon = 0}}, {4}, {.micro_batch = 1});

  EXPECT_EQ(layer.status().message(), "norm (layer_norm): epsilon=0, expected above 0, at most 1");
}

LayerSpec EmbeddingLayer() {
  return {.name = "embed",
          .kind = EmbeddingSpec{.vocabulary = 7, .size = 3, .positions = 6, .segments = 2}};
}

LayerProbe EmbeddingProbe() {
  return LayerProbe(EmbeddingLayer(), {kTokens}, Text(), kSamples, /*reads_values=*/false);
}

TEST(EmbeddingTest, AddsWordPositionAndSegmentAndLeavesPaddingAtZero) {
  LayerProbe probe = EmbeddingProbe();

  ASSERT_TRUE(probe.Forward().ok());

  for (size_t sample = 0; sample < 3; ++sample) {
    for (size_t i = 0; i < 5; ++i) {
      const size_t at = sample * 5 + i;
      for (size_t j = 0; j < 3; ++j) {
        const float expected = probe.weights()[0][static_cast<size_t>(kTokenIds[at]) * 3 + j] +
                               probe.weights()[1][i * 3 + j] +
                               probe.weights()[2][static_cast<size_t>(kSegments[at]) * 3 + j];
        EXPECT_EQ(probe.output()[at * 3 + j],
                  static_cast<int32_t>(i) < kLengths[sample] ? expected : 0.0f);
      }
    }
  }
}

TEST(EmbeddingTest, GradientsEqualDifferences) {
  EmbeddingProbe().ExpectGradientsEqualDifferences(1e-4);
}

TEST(EmbeddingTest, AddsToGradientsThatOthersBegan) {
  LayerProbe probe = EmbeddingProbe();
  const LayerProbe::Gradients stored = probe.Backward();

  const LayerProbe::Gradients added = probe.Backward(/*accumulate=*/true, /*fill=*/8.0f);

  for (size_t t = 0; t < 3; ++t) {
    for (size_t i = 0; i < stored.weights[t].size(); ++i) {
      EXPECT_NEAR(added.weights[t][i], stored.weights[t][i] + 8.0f, 4e-6);
    }
  }
}

TEST(EmbeddingTest, RefusesWhatIsOutOfRangeButLooksAtNoPadding) {
  const auto refusal = [](auto change) {
    std::vector<int32_t> tokens = kTokenIds;
    std::vector<int32_t> segments = kSegments;
    std::vector<int32_t> lengths = kLengths;
    change(&tokens, &segments, &lengths);
    LayerProbe probe = EmbeddingProbe();
    probe.batch().tokens = tokens.data();
    probe.batch().segments = segments.data();
    probe.batch().lengths = lengths.data();
    const Status status = probe.Forward();
    EXPECT_TRUE(status.ok() || status.code() == Code::kInvalidArgument);
    return status.message();
  };
  using Values = std::vector<int32_t>*;
  EXPECT_EQ(refusal([](Values t, Values, Values) { (*t)[6] = 7; }),
            "embed: sample 1: token 7 at position 1, expected 0 to 6: was the text made with the "
            "vocabulary of this model?");
  EXPECT_THAT(refusal([](Values t, Values, Values) { (*t)[0] = -1; }), HasSubstr("token -1"));
  EXPECT_EQ(refusal([](Values, Values s, Values) { (*s)[0] = 2; }),
            "embed: sample 0: segment 2 at position 0, expected 0 to 1");
  EXPECT_EQ(refusal([](Values, Values, Values l) { (*l)[2] = 6; }),
            "embed: sample 2: length 6, expected 1 to 5");
  EXPECT_THAT(refusal([](Values, Values, Values l) { (*l)[2] = 0; }), HasSubstr("length 0"));
  EXPECT_EQ(refusal([](Values t, Values s, Values) { (*t)[9] = (*s)[9] = -5; }), "");

  LayerProbe probe = EmbeddingProbe();
  probe.batch().tokens = nullptr;
  EXPECT_THAT(probe.Forward().message(), HasSubstr("the dataset has no tokens"));
}

TEST(EmbeddingTest, RefusesSizesThatDoNotFit) {
  const auto refusal = [](const EmbeddingSpec& spec, const Dims& input) {
    return MakeLayer({.name = "embed", .kind = spec}, input, {.micro_batch = 1}).status().message();
  };
  EXPECT_THAT(refusal({.vocabulary = 0, .size = 3}, {5}), HasSubstr("is the dataset text?"));
  EXPECT_EQ(refusal({.vocabulary = 7, .size = 0}, {5}),
            "embed (embedding): size=0, expected 1 to 65536");
  EXPECT_THAT(refusal({.vocabulary = 7, .size = 3, .positions = 4}, {5}),
              HasSubstr("positions=4, expected 0 (none) or 5"));
  EXPECT_THAT(refusal({.vocabulary = 7, .size = 3, .segments = -1}, {5}), HasSubstr("segments=-1"));
  EXPECT_THAT(refusal({.vocabulary = 7, .size = 3}, {5, 3}),
              HasSubstr("it must be the first layer"));
}

LayerProbe AttentionProbe(double dropout) {
  return LayerProbe({.name = "attention", .kind = AttentionSpec{.heads = 2, .dropout = dropout}},
                    {kTokens, 6}, Text(), kSamples);
}

// As the paper has it, one number at a time, in double.
std::vector<double> SlowAttention(LayerProbe* probe) {
  constexpr int64_t kSize = 6, kHeadSize = 3;
  const auto linear = [&](size_t tensor, const std::vector<double>& x) {
    std::vector<double> y;
    for (int64_t row = 0; row < kSamples * kTokens; ++row) {
      for (int64_t o = 0; o < kSize; ++o) {
        double sum = probe->weights()[tensor + 1][static_cast<size_t>(o)];
        for (int64_t i = 0; i < kSize; ++i) {
          sum += double{probe->weights()[tensor][static_cast<size_t>(o * kSize + i)]} *
                 x[static_cast<size_t>(row * kSize + i)];
        }
        y.push_back(sum);
      }
    }
    return y;
  };
  const std::vector<double> x(probe->input().begin(), probe->input().end());
  const std::vector<double> q = linear(0, x), k = linear(2, x), v = linear(4, x);
  std::vector<double> context(x.size(), 0.0);
  for (int64_t sample = 0; sample < kSamples; ++sample) {
    const int64_t length = kLengths[static_cast<size_t>(sample)];
    for (int64_t h = 0; h < 2; ++h) {
      const auto at = [&](int64_t token, int64_t d) {
        return static_cast<size_t>((sample * kTokens + token) * kSize + h * kHeadSize + d);
      };
      for (int64_t i = 0; i < length; ++i) {
        std::vector<double> p;
        double sum = 0;
        for (int64_t j = 0; j < length; ++j) {
          double score = 0;
          for (int64_t d = 0; d < kHeadSize; ++d) score += q[at(i, d)] * k[at(j, d)];
          p.push_back(std::exp(score / std::sqrt(3.0)));
          sum += p.back();
        }
        for (int64_t j = 0; j < length; ++j) {
          for (int64_t d = 0; d < kHeadSize; ++d) {
            context[at(i, d)] += p[static_cast<size_t>(j)] / sum * v[at(j, d)];
          }
        }
      }
    }
  }
  return linear(6, context);
}

TEST(AttentionTest, EqualsTheFormula) {
  LayerProbe probe = AttentionProbe(0.0);

  ASSERT_TRUE(probe.Forward().ok());

  const std::vector<double> expected = SlowAttention(&probe);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(probe.output()[i], expected[i], 3e-6) << i;
  }
}

TEST(AttentionTest, GradientsEqualDifferences) {
  AttentionProbe(0.0).ExpectGradientsEqualDifferences(2e-3);
}

TEST(AttentionTest, GradientsUnderDropoutEqualDifferences) {
  AttentionProbe(0.4).ExpectGradientsEqualDifferences(4e-3);
}

TEST(AttentionTest, WhatStandsInPaddingReachesNoOtherToken) {
  LayerProbe probe = AttentionProbe(0.0);
  // Nothing is derived from padding either: it has no part in the loss.
  for (size_t row = 0; row < 15; ++row) {
    if (static_cast<int32_t>(row % 5) < kLengths[row / 5]) continue;
    std::fill_n(probe.loss_weights().begin() + static_cast<int64_t>(row) * 6, 6, 0.0f);
  }
  const LayerProbe::Gradients before = probe.Backward();
  const std::vector<float> output = probe.output();

  for (size_t row = 0; row < 15; ++row) {
    if (static_cast<int32_t>(row % 5) < kLengths[row / 5]) continue;
    std::fill_n(probe.input().begin() + static_cast<int64_t>(row) * 6, 6, 1e6f);
  }

  EXPECT_EQ(probe.Backward(), before);
  EXPECT_EQ(probe.output(), output);
}

TEST(AttentionTest, RefusesSizesThatDoNotFit) {
  const auto refusal = [](const AttentionSpec& spec, const Dims& input) {
    return MakeLayer({.name = "a", .kind = spec}, input, {.micro_batch = 1}).status().message();
  };
  EXPECT_EQ(refusal({.heads = 4}, {5, 6}),
            "a (attention): 4 heads, expected a divisor of the size 6");
  EXPECT_THAT(refusal({.heads = 0}, {5, 6}), HasSubstr("0 heads"));
  EXPECT_THAT(refusal({.heads = 1, .dropout = 1.0}, {5, 6}), HasSubstr("dropout=1"));
  EXPECT_THAT(refusal({.heads = 1}, {6}), HasSubstr("expected a sequence of rows"));
  EXPECT_THAT(refusal({.heads = 16}, {1 << 15, 16}), HasSubstr("choose a smaller micro_batch"));
}

TEST(GeluTest, EqualsTheErrorFunctionOfTheLibrary) {
  std::vector<float> x;
  for (float value = -30.0f; value < 30.0f; value += 0.01f) x.push_back(value);
  std::vector<float> y(x.size());
  std::vector<float> gradient(x.size(), 1.0f);

  GeluForwardCpu(static_cast<int64_t>(x.size()), x.data(), y.data());
  GeluBackwardCpu(static_cast<int64_t>(x.size()), x.data(), gradient.data(), gradient.data());

  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    const double distribution = 0.5 * std::erfc(-v / std::sqrt(2.0));
    const double density = std::exp(-0.5 * v * v) / std::sqrt(2.0 * M_PI);
    EXPECT_NEAR(y[i], v * distribution, 4e-7 * (1 + std::abs(v))) << v;
    EXPECT_NEAR(gradient[i], distribution + v * density, 8e-7) << v;
  }
}

TEST(GeluTest, InfinityAndNanKeepTheirMeaning) {
  const std::vector<float> x = {-INFINITY, INFINITY, NAN};
  std::vector<float> y(3);
  std::vector<float> gradient(3, 1.0f);

  GeluForwardCpu(3, x.data(), y.data());
  GeluBackwardCpu(3, x.data(), gradient.data(), gradient.data());

  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], INFINITY);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(gradient[0], 0.0f);
  EXPECT_EQ(gradient[1], 1.0f);
  EXPECT_TRUE(std::isnan(gradient[2]));
}

LayerProbe DropoutProbe() {
  return LayerProbe({.name = "drop", .kind = DropoutSpec{.probability = 0.5}}, {5, 7}, Text(),
                    kSamples);
}

TEST(DropoutTest, StrikesOutOrScalesAndEvaluationsLeaveAlone) {
  LayerProbe probe = DropoutProbe();
  ASSERT_TRUE(probe.Forward(/*training=*/true).ok());
  int64_t struck = 0;
  for (size_t i = 0; i < probe.output().size(); ++i) {
    if (probe.output()[i] == 0.0f) ++struck;
    EXPECT_TRUE(probe.output()[i] == 0.0f || probe.output()[i] == 2.0f * probe.input()[i]);
  }
  EXPECT_NEAR(static_cast<double>(struck), 52.5, 25.0);  // Five standard deviations of 105 coins.

  ASSERT_TRUE(probe.Forward(/*training=*/false).ok());
  EXPECT_EQ(probe.output(), probe.input());
}

TEST(DropoutTest, GradientsEqualDifferences) {
  DropoutProbe().ExpectGradientsEqualDifferences(2e-3);
}

TEST(DropoutTest, RefusesNoNameAndAProbabilityOfOne) {
  const auto refusal = [](const std::string& name, double probability) {
    return MakeLayer({.name = name, .kind = DropoutSpec{.probability = probability}}, {4},
                     {.micro_batch = 1})
        .status()
        .message();
  };
  EXPECT_THAT(refusal("", 0.5), HasSubstr("dropout: the layer has no name"));
  EXPECT_EQ(refusal("drop", 1.0), "drop (dropout): probability=1, expected 0 to below 1");
}

std::vector<bool> StruckOut(const DropoutMask& mask, const DropoutSample& sample, uint64_t first,
                            int64_t count) {
  std::vector<float> values(static_cast<size_t>(count), 0.5f);
  mask.StrikeOut(sample, first, count, values.data());
  std::vector<bool> struck;
  for (const float value : values) struck.push_back(std::signbit(value));
  return struck;
}

TEST(DropoutMaskTest, StrikesOutTheShareAskedForAndScalesByTheRest) {
  const DropoutMask mask("layer", 0.1);

  const std::vector<bool> struck = StruckOut(mask, {1, 2}, 0, 100'000);

  // Five standard deviations: 5 sqrt(100000 * 0.1 * 0.9).
  EXPECT_NEAR(static_cast<double>(std::ranges::count(struck, true)), 10'000, 475);
  EXPECT_FLOAT_EQ(mask.scale(), 1.0f / 0.9f);
}

TEST(DropoutMaskTest, DependsOnSeedLayerPositionAndNumberAlone) {
  const DropoutMask mask("layer", 0.5);
  const std::vector<bool> whole = StruckOut(mask, {1, 2}, 0, 401);

  EXPECT_EQ(StruckOut(mask, {1, 2}, 100, 301), std::vector<bool>(whole.begin() + 100, whole.end()));
  EXPECT_EQ(StruckOut(DropoutMask("layer", 0.5), {1, 2}, 0, 401), whole);
  EXPECT_NE(StruckOut(DropoutMask("other", 0.5), {1, 2}, 0, 401), whole);
  EXPECT_NE(StruckOut(mask, {2, 2}, 0, 401), whole);
  EXPECT_NE(StruckOut(mask, {1, 3}, 0, 401), whole);
}

TEST(DropoutMaskTest, ProbabilityZeroStrikesOutNothing) {
  const DropoutMask mask("layer", 0.0);

  EXPECT_EQ(std::ranges::count(StruckOut(mask, {1, 2}, 0, 1000), true), 0);
  EXPECT_EQ(mask.scale(), 1.0f);
}

}  // namespace
}  // namespace drover
