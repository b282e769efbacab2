#include "worker/nn/attention_gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/attention_gpu_case.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/gpu_layer_table.h"

namespace drover {
namespace {

LayerSpec Spec(int64_t heads, double dropout = 0.0) {
  return {.name = "attention", .kind = AttentionSpec{.heads = heads, .dropout = dropout}};
}

// Of the largest value: a result is rounded to 8 bits (2^-9), sums of probabilities and of ds are,
// term by term, and dots are sums of rounded c.
constexpr double kBf16Tolerance = 0x1p-7;

class AttentionGpuTest : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>()); }
};

TEST_F(AttentionGpuTest, AgreesWithTheLayerOfTheCpu) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees(Spec(2), {3, 6}, 2);
    ExpectGpuLayerAgrees(Spec(1), {1, 5}, 1);
  });
  ExpectGpuLayerAgrees(Spec(2), {40, 8}, 1);
  ExpectGpuLayerAgrees(Spec(2), {33, 4}, 2, {.training = false});
}

TEST_F(AttentionGpuTest, DerivesNothingFromPadding) {
  const std::vector<int32_t> lengths = {1, 34, 9, 40};
  Batch batch;
  batch.lengths = lengths.data();
  ExpectGpuLayerAgrees(Spec(2), {40, 6}, 4, {.batch = batch});
}

TEST_F(AttentionGpuTest, StrikesOutWhatTheCpuStrikesOut) {
  const std::vector<int32_t> lengths = {7, 5, 1};
  Batch batch;
  batch.lengths = lengths.data();
  batch.seed = 5;
  ExpectGpuLayerAgrees(Spec(3, 0.4), {7, 6}, 3, {.batch = batch});
  batch.lengths = nullptr;
  ExpectGpuLayerAgrees(Spec(2, 0.1), {36, 4}, 1, {.batch = batch});
  // Not when it only evaluates.
  ExpectGpuLayerAgrees(Spec(3, 0.4), {7, 6}, 3, {.batch = batch, .training = false});
}

TEST_F(AttentionGpuTest, AddsToGradientsThatAreThere) {
  ExpectGpuLayerAgrees(Spec(2), {5, 6}, 2, {.accumulate = true});
}

// Rounded are q, k, v, c, the gradient of c, dq, dk and dv, each to 8 bits, of values up to 3.
TEST_F(AttentionGpuTest, RoundsWhatItStoresInBf16) {
  ExpectGpuLayerAgrees(Spec(2, 0.2), {35, 8}, 2,
                       {.precision = Precision::kBf16, .tolerance = 0.02});
}

TEST_F(AttentionGpuTest, KernelsAgreeWithSlowLoopsForAnyHead) {
  for (const int64_t head_size : {1, 5, 33, 64, 128}) {
    SCOPED_TRACE(head_size);
    ExpectAttentionAgrees({.tokens = 35, .head_size = head_size, .lengths = {35, 17}}, 4e-6);
  }
}

TEST_F(AttentionGpuTest, KernelsAgreeWithSlowLoopsForAnyLength) {
  for (const int64_t tokens : {1, 32, 33, 100}) {
    SCOPED_TRACE(tokens);
    ExpectAttentionAgrees(
        {.tokens = tokens, .head_size = 8, .heads = 3, .dropout = tokens == 33 ? 0.3 : 0.0}, 4e-6);
  }
}

TEST_F(AttentionGpuTest, TensorCoresAgreeWithSlowLoops) {
  const std::vector<std::pair<int64_t, int64_t>> sizes = {{32, 70}, {64, 1}, {64, 130}, {128, 66}};
  for (const auto& [head_size, tokens] : sizes) {
    SCOPED_TRACE(testing::Message() << head_size << " values, " << tokens << " tokens");
    ExpectAttentionAgrees({.tokens = tokens,
                           .head_size = head_size,
                           .heads = 1,
                           .type = ValueType::kBf16,
                           .sharpness = 4.0f},
                          kBf16Tolerance);
  }
}

TEST_F(AttentionGpuTest, TensorCoresDeriveNothingFromPaddingAndStrikeOutTheSame) {
  for (const int64_t head_size : {32, 64, 128}) {
    SCOPED_TRACE(head_size);
    // Rows of 3, 30, 47 and 72 begin at other places in groups of 4 random words.
    ExpectAttentionAgrees({.tokens = 72,
                           .head_size = head_size,
                           .lengths = {3, 30, 47, 72},
                           .dropout = 0.3,
                           .type = ValueType::kBf16,
                           .sharpness = 4.0f},
                          kBf16Tolerance);
  }
}

// Scores up to 100 apart: corrections underflow, and the largest comes in any tile.
TEST_F(AttentionGpuTest, KernelsKeepSharpSoftmaxesFinite) {
  ExpectAttentionAgrees({.tokens = 100, .head_size = 32, .heads = 1, .sharpness = 60.0f}, 2e-4);
}

// All scores near -110: what is computed behind the length, from zeros, is larger by e^110. Queries
// near -20 in all places make the rounded terms of dk large beside their sum.
TEST_F(AttentionGpuTest, KernelsIgnorePaddingThatWouldOverflow) {
  for (const ValueType type : {ValueType::kF32, ValueType::kBf16}) {
    ExpectAttentionAgrees({.tokens = 40,
                           .head_size = 32,
                           .heads = 1,
                           .lengths = {37},
                           .type = type,
                           .sharpness = 20.0f,
                           .opposed = true},
                          type == ValueType::kF32 ? 2e-4 : 2 * kBf16Tolerance);
  }
}

TEST_F(AttentionGpuTest, GivesTheSameBitsOnEverySchedule) {
  for (const ValueType type : {ValueType::kF32, ValueType::kBf16}) {
    const AttentionCase of = {
        .tokens = 40, .head_size = 32, .lengths = {40, 20}, .dropout = 0.1, .type = type};
    const AttentionResults first = RunAttentionGpu(of);
    emulator::ForEachSeed(6, [&](uint64_t seed) {
      SCOPED_TRACE(seed);
      EXPECT_TRUE(RunAttentionGpu(of) == first);
    });
  }
}

TEST_F(AttentionGpuTest, RefusesHeadsThatDoNotFit) {
  const Result<std::unique_ptr<GpuLayer>> layer =
      MakeGpuLayer(Spec(2), {4, 258}, {.micro_batch = 1});
  EXPECT_EQ(layer.status().code(), Code::kUnimplemented);
  EXPECT_THAT(layer.status().message(),
              testing::HasSubstr("heads of 129 values, expected at most 128"));
  EXPECT_TRUE(MakeGpuLayer(Spec(2), {4, 256}, {.micro_batch = 1}).ok());
}

}  // namespace
}  // namespace drover
