#include "worker/nn/recurrent_gpu.h"

#include <gtest/gtest.h>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

using Cell = RecurrentSpec::Cell;

LayerSpec Spec(Cell cell, int64_t size, bool bidirectional, bool last_only) {
  return {.name = "rnn",
          .kind = RecurrentSpec{
              .cell = cell, .size = size, .bidirectional = bidirectional, .last_only = last_only}};
}

class RecurrentGpuTest : public testing::TestWithParam<Cell> {};

INSTANTIATE_TEST_SUITE_P(Cells, RecurrentGpuTest,
                         testing::Values(Cell::kRnn, Cell::kGru, Cell::kLstm),
                         [](const auto& param_info) {
                           return param_info.param == Cell::kRnn   ? "Rnn"
                                  : param_info.param == Cell::kGru ? "Gru"
                                                                   : "Lstm";
                         });

TEST_P(RecurrentGpuTest, AgreesWithTheCpuInBothDirections) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees(Spec(GetParam(), 5, true, false), {4, 3}, 3);
    ExpectGpuLayerAgrees(Spec(GetParam(), 5, true, true), {4, 3}, 3);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST_P(RecurrentGpuTest, AgreesWithTheCpuInOneDirection) {
  ExpectGpuLayerAgrees(Spec(GetParam(), 1, false, false), {3, 1}, 1);
  ExpectGpuLayerAgrees(Spec(GetParam(), 33, false, true), {3, 4}, 5);     // More than a block.
  ExpectGpuLayerAgrees(Spec(GetParam(), 4, false, false), {2, 2, 3}, 2);  // Rows of an image.
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST_P(RecurrentGpuTest, OneStepHasNoStateBeforeIt) {
  ExpectGpuLayerAgrees(Spec(GetParam(), 3, true, false), {1, 5}, 4);
  ExpectGpuLayerAgrees(Spec(GetParam(), 3, true, true), {1, 5}, 4, {.accumulate = true});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST_P(RecurrentGpuTest, AddsToGradientsThatAreThere) {
  ExpectGpuLayerAgrees(Spec(GetParam(), 5, true, false), {4, 3}, 3, {.accumulate = true});
  ExpectGpuLayerAgrees(Spec(GetParam(), 5, true, true), {4, 3}, 3, {.accumulate = true});
}

// States and gradients of sums are rounded to 8 bits, relatively 2^-9, before each of 4 products; 4
// such errors a step, through weights of up to 1, stay below 2^-5.
TEST_P(RecurrentGpuTest, RoundsFactorsOfProductsInBf16) {
  const GpuProbeOptions options = {.precision = Precision::kBf16, .tolerance = 0x1p-5};
  ExpectGpuLayerAgrees(Spec(GetParam(), 5, true, false), {4, 3}, 3, options);
  ExpectGpuLayerAgrees(Spec(GetParam(), 8, true, true), {3, 8}, 2, options);
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
