#include "worker/nn/convolution_gpu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

LayerSpec Filters(int64_t filters, int64_t kernel, int64_t stride, Padding padding) {
  return {.name = "conv",
          .kind = ConvolutionSpec{
              .filters = filters, .kernel = kernel, .stride = stride, .padding = padding}};
}

TEST(ConvolutionGpuTest, AgreesWithTheCpuForWordsOfEverySize) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees(Filters(3, 3, 1, Padding::kSame), {5, 7, 1}, 3);
    ExpectGpuLayerAgrees(Filters(5, 2, 1, Padding::kSame), {4, 3, 3}, 2);
    ExpectGpuLayerAgrees(Filters(2, 3, 1, Padding::kSame), {3, 3, 8}, 2);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

TEST(ConvolutionGpuTest, PlacesWindowsByStrideAndPaddingAsTheCpuDoes) {
  ExpectGpuLayerAgrees(Filters(3, 3, 2, Padding::kSame), {6, 5, 2}, 2);
  ExpectGpuLayerAgrees(Filters(3, 3, 2, Padding::kValid), {6, 7, 2}, 2);
  ExpectGpuLayerAgrees(Filters(2, 2, 3, Padding::kValid), {9, 7, 1}, 2);  // Pixels without windows.
  ExpectGpuLayerAgrees(Filters(2, 5, 1, Padding::kSame), {2, 1, 2}, 3);   // Wider than the image.
  ExpectGpuLayerAgrees(Filters(4, 1, 1, Padding::kSame), {3, 2, 5}, 2);
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// Rows wider than a block.
TEST(ConvolutionGpuTest, TakesManyChannels) {
  ExpectGpuLayerAgrees(Filters(2, 3, 1, Padding::kSame), {3, 2, 33}, 1);
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(ConvolutionGpuTest, AddsToGradientsThatAreThere) {
  ExpectGpuLayerAgrees(Filters(3, 3, 1, Padding::kSame), {4, 3, 2}, 3, {.accumulate = true});
}

TEST(ConvolutionGpuTest, TakesASliceOfTheMicroBatchAtATime) {
  const ConvolutionSpec spec = {.filters = 3, .kernel = 2};
  const Dims input = {4, 3, 2};
  const LayerSpec layer = {.name = "conv", .kind = spec};
  const auto make = [&](size_t slice_bytes) {
    return [&, slice_bytes](const LayerSetting& setting) -> std::unique_ptr<GpuLayer> {
      const auto same = MakeLayer(layer, input, setting);
      return std::make_unique<ConvolutionGpu>(*same.value(), spec, input, setting, slice_bytes);
    };
  };
  const size_t sample_bytes = 4 * 3 * 8 * sizeof(float);  // 12 windows of 8 values.
  for (const bool accumulate : {false, true}) {
    SCOPED_TRACE(accumulate);
    // One sample each, two each with one left over, and eights with three left over.
    ExpectGpuLayerAgrees(layer, input, 3, {.accumulate = accumulate, .make = make(1)});
    ExpectGpuLayerAgrees(layer, input, 5,
                         {.accumulate = accumulate, .make = make(2 * sample_bytes)});
    ExpectGpuLayerAgrees(layer, input, 19,
                         {.accumulate = accumulate, .make = make(9 * sample_bytes)});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());

  const LayerSetting setting = {.micro_batch = 19};
  EXPECT_GE(make(1 << 20)(setting)->bytes().scratch, 19 * sample_bytes);
  EXPECT_LT(make(9 * sample_bytes)(setting)->bytes().scratch, 19 * sample_bytes);
}

// Factors are exact, sums and gradients of windows float32: what is left is one rounding to 8 bits.
TEST(ConvolutionGpuTest, RoundsOnlyItsResultsInBf16) {
  ExpectGpuLayerAgrees(Filters(3, 3, 1, Padding::kSame), {5, 3, 3}, 3,
                       {.precision = Precision::kBf16, .tolerance = 0x1p-8});
  ExpectGpuLayerAgrees(Filters(2, 2, 1, Padding::kValid), {4, 3, 8}, 2,
                       {.precision = Precision::kBf16, .tolerance = 0x1p-8});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

}  // namespace
}  // namespace drover
