#include "worker/nn/dropout_gpu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

LayerSpec Spec(double probability, bool at_evaluation = false) {
  return {.name = "drop",
          .kind = DropoutSpec{.probability = probability, .at_evaluation = at_evaluation}};
}

TEST(DropoutGpuTest, HasTheBitsOfTheCpu) {
  emulator::ForEachSeed(3, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    const GpuProbeOptions exact = {.batch = {.seed = 11}, .tolerance = 0};
    ExpectGpuLayerAgrees(Spec(0.1), {1}, 1, exact);
    ExpectGpuLayerAgrees(Spec(0.5), {33}, 5, exact);
    ExpectGpuLayerAgrees(Spec(0.9), {2, 130}, 3, exact);
    ExpectGpuLayerAgrees(Spec(0.25), {3, 512}, 2, exact);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(DropoutGpuTest, RoundsOnlyItsResultsInBf16) {
  for (const int64_t size : {3, 33, 136}) {
    ExpectGpuLayerAgrees(Spec(0.3), {size}, 5,
                         {.precision = Precision::kBf16, .tolerance = 0x1p-8});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(DropoutGpuTest, DrawsInEvaluationsOnlyIfToldTo) {
  ExpectGpuLayerAgrees(Spec(0.5), {33}, 5, {.training = false, .tolerance = 0});
  ExpectGpuLayerAgrees(Spec(0.5, /*at_evaluation=*/true), {33}, 5,
                       {.training = false, .tolerance = 0});
}

TEST(DropoutGpuTest, StrikesNothingOutWithProbabilityZero) {
  ExpectGpuLayerAgrees(Spec(0.0), {33}, 5, {.tolerance = 0});
}

// In both types, whatever the width of the accesses, and where the result overwrites its input.
TEST(DropoutGpuTest, StrikesOutTheMaskOfTheCpu) {
  const DropoutMask mask("layer", 0.4);
  for (const ValueType type : {ValueType::kF32, ValueType::kBf16}) {
    for (const size_t size : {1, 4, 8, 30, 130, 2056}) {
      const std::vector<uint64_t> positions = {7, uint64_t{1} << 40};
      std::vector<float> marked(2 * size, 1.0f);
      for (size_t s = 0; s < 2; ++s) {
        mask.StrikeOut({.seed = 5, .position = positions[s]}, 0, static_cast<int64_t>(size),
                       marked.data() + s * size);
      }
      GpuArrays arrays;
      const GpuValues values = arrays.Values(std::vector<float>(2 * size, 1.0f), type);

      ASSERT_TRUE(MultiplyByMaskOnGpu(arrays.stream(), 2, static_cast<int64_t>(size), mask.draw(5),
                                      arrays.Copy(positions.data(), 2),
                                      {.from = values, .plus = {}, .to = values})
                      .ok());

      const std::vector<float> left = arrays.Read(values, 2 * size);
      for (size_t i = 0; i < left.size(); ++i) {
        ASSERT_EQ(left[i] == 0.0f, std::signbit(marked[i])) << size << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace drover
