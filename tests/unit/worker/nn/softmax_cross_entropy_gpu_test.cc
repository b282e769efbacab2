#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_head_probe.h"
#include "worker/nn/softmax_rows_gpu.h"

namespace drover {
namespace {

HeadSpec Classes(int64_t classes) { return {SoftmaxCrossEntropySpec{.classes = classes}}; }

std::vector<int32_t> Labels(size_t count, int64_t classes) {
  std::vector<int32_t> labels;
  for (size_t i = 0; i < count; ++i) {
    labels.push_back(static_cast<int32_t>((static_cast<int64_t>(i) * 7919 + 1) % classes));
  }
  return labels;
}

// 2 and 10 classes in one warp; 600 and 601 by a block, with and without accesses of 16 bytes.
TEST(SoftmaxCrossEntropyGpuTest, AgreesWithTheCpu) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const int64_t classes : {2, 10, 33, 600, 601}) {
      SCOPED_TRACE(classes);
      const std::vector<int32_t> labels = Labels(5, classes);
      ExpectGpuHeadAgrees(Classes(classes), {classes}, 5,
                          {.batch = {.labels = labels.data(), .samples = 5}, .input_scale = 8.0f});
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(SoftmaxCrossEntropyGpuTest, HasTheSameBitsInAnyOrderOfThreads) {
  for (const int64_t classes : {33, 601}) {
    const std::vector<int32_t> labels = Labels(70, classes);
    std::vector<GpuHeadOutcome> outcomes;
    emulator::ForEachSeed(10, [&](uint64_t seed) {
      SCOPED_TRACE(seed);
      const int64_t samples = classes == 33 ? 70 : 3;
      outcomes.push_back(
          ExpectGpuHeadAgrees(Classes(classes), {classes}, samples,
                              {.batch = {.labels = labels.data(), .samples = samples}}));
      EXPECT_TRUE(IsSame(outcomes.back(), outcomes.front()));
      EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
    });
  }
}

TEST(SoftmaxCrossEntropyGpuTest, PaddingContributesNothing) {
  const std::vector<int32_t> labels = Labels(6, 10);
  for (const int64_t samples : {1, 3, 5}) {
    ExpectGpuHeadAgrees(Classes(10), {10}, 6,
                        {.batch = {.labels = labels.data(), .samples = samples}});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(SoftmaxCrossEntropyGpuTest, AnEvaluationWritesNoGradient) {
  const std::vector<int32_t> labels = Labels(4, 601);
  ExpectGpuHeadAgrees(Classes(601), {601}, 4,
                      {.batch = {.labels = labels.data(), .samples = 4}, .wants_gradient = false});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// One rounding to 8 bits, of gradients, which are at most 1.
TEST(SoftmaxCrossEntropyGpuTest, RoundsOnlyGradientsInBf16) {
  for (const int64_t classes : {10, 601}) {
    const std::vector<int32_t> labels = Labels(3, classes);
    ExpectGpuHeadAgrees(Classes(classes), {classes}, 3,
                        {.batch = {.labels = labels.data(), .samples = 3},
                         .precision = Precision::kBf16,
                         .tolerance = 0x1p-9});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

struct RowsResult {
  std::vector<LossRow> losses;
  std::vector<float> gradient;
};

// `in_place`: over the logits; else as bfloat16 beside them.
RowsResult RunRows(const std::vector<float>& logits, const std::vector<int32_t>& labels,
                   int64_t stride, int64_t classes, bool in_place) {
  GpuArrays arrays;
  const auto rows = static_cast<int64_t>(labels.size());
  const GpuValues values = arrays.Values(logits, ValueType::kF32);
  const GpuValues gradient =
      in_place ? values
               : GpuValues{arrays.Bytes(logits.size() * sizeof(uint16_t)), ValueType::kBf16};
  const std::vector<double> shares = {0.5, 0.25};
  auto* const losses = reinterpret_cast<LossRow*>(arrays.Bytes(labels.size() * sizeof(LossRow)));
  const Status status = SoftmaxRowsOnGpu({.rows = rows,
                                          .real_rows = rows - 1,
                                          .classes = classes,
                                          .stride = stride,
                                          .logits = values,
                                          .gradient = gradient,
                                          .labels = arrays.Copy(labels.data(), labels.size()),
                                          .shares = arrays.Copy(shares.data(), shares.size()),
                                          .first_row = 0,
                                          .rows_per_share = rows / 2,
                                          .losses = losses},
                                         arrays.stream());
  EXPECT_TRUE(status.ok()) << status.ToString();
  return {arrays.ReadAs(losses, labels.size()), arrays.Read(gradient, logits.size())};
}

// A slow loop in double.
TEST(SoftmaxRowsGpuTest, RowsWithSharesAreThoseOfAPlainLoop) {
  constexpr int64_t kClasses =
      1029;  // One more than a multiple of 4 after a full round of threads.
  constexpr int64_t kStride = 1088;
  const std::vector<int32_t> labels = {3, -1, 1028, 0, 7, 5};
  std::vector<float> logits = ProbeNoise(labels.size() * kStride, 5);
  for (float& logit : logits) logit *= 6.0f;
  logits[3] = 9.0f;                // Row 0 is right ...
  logits[2 * kStride + 5] = 9.0f;  // ... row 2 is not: the first of the largest counts.
  logits[2 * kStride + 1028] = 9.0f;
  emulator::ForEachSeed(5, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const bool in_place : {true, false}) {
      const RowsResult got = RunRows(logits, labels, kStride, kClasses, in_place);
      for (size_t r = 0; r < labels.size(); ++r) {
        const float* const row = logits.data() + r * kStride;
        const bool asked = labels[r] >= 0 && r + 1 < labels.size();
        const double share = r < 3 ? 0.5 : 0.25;
        double sum = 0.0;
        for (int64_t j = 0; j < kClasses; ++j) sum += std::exp(double{row[j]});
        EXPECT_EQ(got.losses[r].asked, asked ? 1 : 0);
        EXPECT_EQ(got.losses[r].correct, r == 0 ? 1 : 0);
        const double loss = asked ? std::log(sum) - row[labels[r]] : 0.0;
        EXPECT_NEAR(got.losses[r].loss, loss, 1e-6);
        for (int64_t j = 0; j < kClasses; ++j) {
          const double p = std::exp(double{row[j]}) / sum;
          const double expected = asked ? share * (p - (j == labels[r] ? 1.0 : 0.0)) : 0.0;
          // Half of the last place of 8 bits: at most 2^-8 of the value.
          ASSERT_NEAR(got.gradient[r * kStride + static_cast<size_t>(j)], expected,
                      in_place ? 1e-6 : 0x1p-8 * std::fabs(expected) + 1e-6)
              << r << ", " << j;
        }
      }
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(SoftmaxRowsGpuTest, ANanShowsInTheLoss) {
  std::vector<float> logits = ProbeNoise(2 * 10, 5);
  logits[7] = NAN;

  EXPECT_TRUE(std::isnan(RunRows(logits, {3, 3}, 10, 10, true).losses[0].loss));
}

}  // namespace
}  // namespace drover
