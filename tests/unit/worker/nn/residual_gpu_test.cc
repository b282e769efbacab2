#include "worker/nn/residual_gpu.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/gpu_layer_table.h"

namespace drover {
namespace {

LayerSpec Dropout(double probability, bool at_evaluation = false) {
  return {.name = "drop",
          .kind = DropoutSpec{.probability = probability, .at_evaluation = at_evaluation}};
}

// Ends in dropout, or in another layer that overwrites the gradient that it is given, which the
// block still needs.
LayerSpec Block(const LayerSpec& last) {
  const std::vector<LayerSpec> layers = {{.name = "in", .kind = DenseSpec{.size = 9}},
                                         {.name = "gelu", .kind = GeluSpec{}},
                                         {.name = "out", .kind = DenseSpec{.size = 5}},
                                         last};
  return {.name = "block", .kind = ResidualSpec{.layers = layers}};
}

LayerSpec Nested() {
  return {
      .name = "outer",
      .kind = ResidualSpec{.layers = {Block(Dropout(0.25)), {.name = "relu", .kind = ReluSpec{}}}}};
}

TEST(ResidualGpuTest, AgreesWithTheCpu) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees(Block(Dropout(0.25)), {5}, 1);
    ExpectGpuLayerAgrees(Block(Dropout(0.25)), {3, 5}, 7);
    ExpectGpuLayerAgrees(Nested(), {5}, 7);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(ResidualGpuTest, MayEndInAnyLayer) {
  ExpectGpuLayerAgrees(Block({.name = "tanh", .kind = TanhSpec{}}), {3, 5}, 7);
  ExpectGpuLayerAgrees(Block({.name = "norm", .kind = LayerNormSpec{}}), {3, 5}, 7,
                       {.tolerance = 1e-4});
  ExpectGpuLayerAgrees(Block(Dropout(0.0)), {3, 5}, 7);
}

// Its bits, too: what is struck out and what is added are rounded as in two layers.
TEST(ResidualGpuTest, DropoutAsItsOnlyLayerHasTheBitsOfTheCpu) {
  for (const int64_t size : {3, 33, 136}) {
    const LayerSpec spec = {.name = "block", .kind = ResidualSpec{.layers = {Dropout(0.5)}}};
    ExpectGpuLayerAgrees(spec, {size}, 5, {.tolerance = 0});
    ExpectGpuLayerAgrees(spec, {size}, 5, {.training = false, .tolerance = 0});
  }
}

TEST(ResidualGpuTest, DrawsInEvaluationsOnlyIfToldTo) {
  ExpectGpuLayerAgrees(Block(Dropout(0.5)), {5}, 7, {.training = false});
  ExpectGpuLayerAgrees(Block(Dropout(0.5, /*at_evaluation=*/true)), {5}, 7, {.training = false});
}

TEST(ResidualGpuTest, AddsToGradientsThatAreThere) {
  ExpectGpuLayerAgrees(Block(Dropout(0.25)), {3, 5}, 7, {.accumulate = true});
}

TEST(ResidualGpuTest, WithoutLayersDoublesItsInput) {
  ExpectGpuLayerAgrees({.name = "twice", .kind = ResidualSpec{}}, {33}, 3, {.tolerance = 0});
}

// Five values in a row are rounded to 8 bits, each with a relative error of 2^-9; values and sums
// of products of them are below 4.
TEST(ResidualGpuTest, AgreesInBf16) {
  ExpectGpuLayerAgrees(Block(Dropout(0.25)), {3, 5}, 7,
                       {.precision = Precision::kBf16, .tolerance = 0x1p-5});
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
