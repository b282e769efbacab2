#include <gtest/gtest.h>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_head_probe.h"

namespace drover {
namespace {

const HeadSpec kRegression = {MeanSquaredErrorSpec{}};

TEST(MeanSquaredErrorGpuTest, AgreesWithTheCpuOnTargets) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const int64_t outputs : {1, 3, 33, 130}) {
      const std::vector<float> targets = ProbeNoise(static_cast<size_t>(5 * outputs), 9);
      for (const int64_t samples : {2, 5}) {
        ExpectGpuHeadAgrees(kRegression, {outputs}, 5,
                            {.batch = {.samples = samples, .targets = targets.data()}});
      }
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(MeanSquaredErrorGpuTest, HasTheSameBitsInAnyOrderOfThreads) {
  const std::vector<float> targets = ProbeNoise(5 * 130, 9);
  std::vector<GpuHeadOutcome> outcomes;
  emulator::ForEachSeed(10, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    outcomes.push_back(ExpectGpuHeadAgrees(kRegression, {130}, 5,
                                           {.batch = {.samples = 5, .targets = targets.data()}}));
    EXPECT_TRUE(IsSame(outcomes.back(), outcomes.front()));
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(MeanSquaredErrorGpuTest, AgreesWithTheCpuOnClasses) {
  const std::vector<int32_t> labels = {3, 0, 9, 1, 2, 4, 5, 6, 7, 8, 8, 7};
  for (const bool wanted : {true, false}) {
    ExpectGpuHeadAgrees(
        {MeanSquaredErrorSpec{.classes = 10}}, {10}, 12,
        {.batch = {.labels = labels.data(), .samples = 11}, .wants_gradient = wanted});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// One rounding to 8 bits, of gradients, which are at most 4/33.
TEST(MeanSquaredErrorGpuTest, RoundsOnlyGradientsInBf16) {
  const std::vector<float> targets = ProbeNoise(4 * 33, 9);
  ExpectGpuHeadAgrees(kRegression, {33}, 4,
                      {.batch = {.samples = 4, .targets = targets.data()},
                       .precision = Precision::kBf16,
                       .tolerance = 0x1p-9});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
