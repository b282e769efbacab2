#include <gtest/gtest.h>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

TEST(LinearGpuTest, AgreesWithTheCpuOnVectorsAndSequences) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees({.name = "dense", .kind = DenseSpec{.size = 7}}, {33}, 5);
    ExpectGpuLayerAgrees({.name = "dense", .kind = DenseSpec{.size = 130}}, {3, 4}, 50);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(LinearGpuTest, AddsToGradientsThatAreThere) {
  ExpectGpuLayerAgrees({.name = "dense", .kind = DenseSpec{.size = 7}}, {33}, 5,
                       {.accumulate = true});
}

// Two roundings to 8 bits, of the result and of nothing else: 2^-8 relative.
TEST(LinearGpuTest, RoundsOnlyItsResultsInBf16) {
  ExpectGpuLayerAgrees({.name = "dense", .kind = DenseSpec{.size = 7}}, {33}, 5,
                       {.precision = Precision::kBf16, .tolerance = 0x1p-8});
}

}  // namespace
}  // namespace drover
