// The layers sigmoid and tanh; their arithmetic is float_sigmoid_test.cc's.

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/worker/nn/layer_probe.h"
#include "worker/nn/float_sigmoid.h"
#include "worker/nn/sigmoid.h"
#include "worker/nn/tanh.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatch = 5;

LayerProbe Probe(const LayerSpec& spec) {
  return LayerProbe(spec, {3, 7}, {.samples = kMicroBatch}, kMicroBatch);
}

TEST(SigmoidLayerTest, IsTheFunctionOfEveryValue) {
  LayerProbe probe = Probe({.name = "", .kind = SigmoidSpec{}});

  ASSERT_TRUE(probe.Forward().ok());

  ASSERT_EQ(probe.output().size(), size_t{3 * 7 * kMicroBatch});
  for (size_t i = 0; i < probe.output().size(); ++i) {
    EXPECT_EQ(probe.output()[i], Sigmoid(probe.input()[i]));
  }
}

TEST(SigmoidLayerTest, GradientsEqualDifferences) {
  Probe({.name = "", .kind = SigmoidSpec{}}).ExpectGradientsEqualDifferences(1e-4);
}

TEST(TanhLayerTest, IsTheFunctionOfEveryValue) {
  LayerProbe probe = Probe({.name = "", .kind = TanhSpec{}});

  ASSERT_TRUE(probe.Forward().ok());

  for (size_t i = 0; i < probe.output().size(); ++i) {
    EXPECT_EQ(probe.output()[i], Tanh(probe.input()[i]));
  }
}

TEST(TanhLayerTest, GradientsEqualDifferences) {
  Probe({.name = "", .kind = TanhSpec{}}).ExpectGradientsEqualDifferences(1e-4);
}

TEST(TanhLayerTest, BothPassesMayOverwriteWhatTheyRead) {
  std::vector<float> values = ProbeNoise(37, 1);
  std::vector<float> gradient = ProbeNoise(37, 2);
  std::vector<float> squashed(37), expected(37);
  TanhForwardCpu(37, values.data(), squashed.data());
  TanhBackwardCpu(37, squashed.data(), gradient.data(), expected.data());

  TanhForwardCpu(37, values.data(), values.data());
  TanhBackwardCpu(37, values.data(), gradient.data(), gradient.data());

  EXPECT_EQ(values, squashed);
  EXPECT_EQ(gradient, expected);
}

TEST(SigmoidLayerTest, BothPassesMayOverwriteWhatTheyRead) {
  std::vector<float> values = ProbeNoise(37, 1);
  std::vector<float> gradient = ProbeNoise(37, 2);
  std::vector<float> squashed(37), expected(37);
  SigmoidForwardCpu(37, values.data(), squashed.data());
  SigmoidBackwardCpu(37, squashed.data(), gradient.data(), expected.data());

  SigmoidForwardCpu(37, values.data(), values.data());
  SigmoidBackwardCpu(37, values.data(), gradient.data(), gradient.data());

  EXPECT_EQ(values, squashed);
  EXPECT_EQ(gradient, expected);
}

TEST(ActivationLayersTest, NanReachesOutputAndGradient) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const LayerSpec& spec :
       {LayerSpec{.name = "", .kind = SigmoidSpec{}}, LayerSpec{.name = "", .kind = TanhSpec{}}}) {
    LayerProbe probe = Probe(spec);
    probe.input()[4] = nan;

    const LayerProbe::Gradients gradients = probe.Backward();

    EXPECT_TRUE(std::isnan(probe.output()[4]));
    EXPECT_TRUE(std::isnan(gradients.input[4]));
    EXPECT_FALSE(std::isnan(gradients.input[5]));
  }
}

}  // namespace
}  // namespace drover
