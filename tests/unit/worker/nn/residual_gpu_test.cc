#include "worker/nn/residual_gpu.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/gpu_layer_table.h"

namespace drover {
namespace {

// Ends in a layer that overwrites the gradient that it is given, which the block still needs.
LayerSpec Block() {
  const std::vector<LayerSpec> layers = {
      {.name = "in", .kind = DenseSpec{.size = 9}},
      {.name = "gelu", .kind = GeluSpec{}},
      {.name = "out", .kind = DenseSpec{.size = 5}},
      {.name = "drop", .kind = DropoutSpec{.probability = 0.25}},
  };
  return {.name = "block", .kind = ResidualSpec{.layers = layers}};
}

LayerSpec Nested() {
  return {.name = "outer",
          .kind = ResidualSpec{.layers = {Block(), {.name = "relu", .kind = ReluSpec{}}}}};
}

TEST(ResidualGpuTest, AgreesWithTheCpu) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees(Block(), {5}, 1);
    ExpectGpuLayerAgrees(Block(), {3, 5}, 7);
    ExpectGpuLayerAgrees(Nested(), {5}, 7);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(ResidualGpuTest, AddsToGradientsThatAreThere) {
  ExpectGpuLayerAgrees(Block(), {3, 5}, 7, {.accumulate = true});
}

TEST(ResidualGpuTest, WithoutLayersDoublesItsInput) {
  ExpectGpuLayerAgrees({.name = "twice", .kind = ResidualSpec{}}, {33}, 3, {.tolerance = 0});
}

// Five values in a row are rounded to 8 bits, each with a relative error of 2^-9; values and sums
// of products of them are below 4.
TEST(ResidualGpuTest, AgreesInBf16) {
  ExpectGpuLayerAgrees(Block(), {3, 5}, 7, {.precision = Precision::kBf16, .tolerance = 0x1p-5});
}

TEST(ResidualGpuTest, NamesTheLayerThatItCannotMake) {
  const LayerSpec spec = {
      .name = "block",
      .kind = ResidualSpec{.layers = {{.name = "out", .kind = DenseSpec{.size = 4}}}}};

  const Result<std::unique_ptr<GpuLayer>> made = MakeGpuLayer(spec, {5}, {.micro_batch = 2});

  EXPECT_EQ(made.status().message(), "residual: its layers make 4 of 5, expected the same shape");
}

}  // namespace
}  // namespace drover
