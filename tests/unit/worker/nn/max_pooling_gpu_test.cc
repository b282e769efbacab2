#include "worker/nn/max_pooling_gpu.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

LayerSpec Windows(int64_t size, int64_t stride, Padding padding) {
  return {.name = "", .kind = MaxPoolingSpec{.size = size, .stride = stride, .padding = padding}};
}

// Values are chosen, never calculated; gradients are sums of at most a few.
constexpr double kTolerance = 1e-6;

TEST(MaxPoolingGpuTest, AgreesWithTheCpu) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees(Windows(2, 2, Padding::kSame), {5, 4, 3}, 3, {.tolerance = kTolerance});
    ExpectGpuLayerAgrees(Windows(3, 1, Padding::kSame), {4, 5, 2}, 2, {.tolerance = kTolerance});
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
  ExpectGpuLayerAgrees(Windows(2, 3, Padding::kValid), {7, 8, 33}, 1, {.tolerance = kTolerance});
  ExpectGpuLayerAgrees(Windows(3, 2, Padding::kValid), {7, 6, 1}, 2, {.tolerance = kTolerance});
  ExpectGpuLayerAgrees(Windows(5, 1, Padding::kSame), {2, 1, 2}, 2, {.tolerance = kTolerance});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(MaxPoolingGpuTest, WindowsOfMoreThan256PlacesAgreeToo) {
  ExpectGpuLayerAgrees(Windows(17, 1, Padding::kSame), {18, 17, 1}, 1, {.tolerance = kTolerance});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(MaxPoolingGpuTest, RoundsOnlySumsOfGradientsInBf16) {
  ExpectGpuLayerAgrees(Windows(2, 2, Padding::kSame), {5, 4, 3}, 3,
                       {.precision = Precision::kBf16, .tolerance = 0});
  ExpectGpuLayerAgrees(Windows(3, 1, Padding::kSame), {4, 5, 2}, 2,
                       {.precision = Precision::kBf16, .tolerance = 0x1p-8});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// d / d image of the windows' results times `dy`; one channel, stride 1, no padding.
std::vector<float> GradientOf(const std::vector<float>& image, int64_t height, int64_t window,
                              const std::vector<float>& dy) {
  const auto width = static_cast<int64_t>(image.size()) / height;
  const MaxPoolingShape shape = {.samples = 1,
                                 .channels = 1,
                                 .height = MakeWindowAxis(height, window, 1, Padding::kValid),
                                 .width = MakeWindowAxis(width, window, 1, Padding::kValid)};
  GpuArrays arrays;
  const GpuValues x = arrays.Values(image, ValueType::kF32);
  const GpuValues y = {arrays.Bytes(dy.size() * sizeof(float)), ValueType::kF32};
  const GpuValues dx = {arrays.Bytes(image.size() * sizeof(float)), ValueType::kF32};
  std::byte* const places = arrays.Bytes(MaxPoolingPlacesBytes(shape));
  EXPECT_TRUE(MaxPoolingForwardOnGpu(shape, x, y, places, arrays.stream()).ok());
  EXPECT_TRUE(MaxPoolingBackwardOnGpu(shape, arrays.Values(dy, ValueType::kF32), places, dx,
                                      arrays.stream())
                  .ok());
  return arrays.Read(dx, image.size());
}

// Two windows of 2 x 2 over [2, 3] images.
std::vector<float> GradientOf(const std::vector<float>& image) {
  return GradientOf(image, 2, 2, {1, 10});
}

TEST(MaxPoolingGpuTest, PlacesBeyond255AreNotTakenForOthers) {
  std::vector<float> image(17 * 17), expected(17 * 17);
  image[256 + 5] = 1;
  expected[256 + 5] = 3;
  EXPECT_EQ(GradientOf(image, 17, 17, {3}), expected);
}

TEST(MaxPoolingGpuTest, TheFirstOfEqualsHasTheGradient) {
  EXPECT_EQ(GradientOf({5, 5, 5, 5, 5, 5}), (std::vector<float>{1, 10, 0, 0, 0, 0}));
  EXPECT_EQ(GradientOf({1, 7, 1, 7, 1, 7}), (std::vector<float>{0, 11, 0, 0, 0, 0}));
  EXPECT_EQ(GradientOf({1, 2, 1, 7, 7, 7}), (std::vector<float>{0, 0, 0, 1, 10, 0}));
}

TEST(MaxPoolingGpuTest, TheLargestMayBeMinusInfinity) {
  const float least = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(GradientOf({least, least, least, least, least, least}),
            (std::vector<float>{1, 10, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace drover
