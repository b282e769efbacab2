#include "worker/nn/layer_norm_gpu.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"

namespace drover {
namespace {

const LayerSpec& Spec() {
  static const LayerSpec spec = {.name = "norm", .kind = LayerNormSpec{.epsilon = 1e-5}};
  return spec;
}

TEST(LayerNormGpuTest, AgreesWithTheCpu) {
  emulator::ForEachSeed(5, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    ExpectGpuLayerAgrees(Spec(), {1}, 3);
    ExpectGpuLayerAgrees(Spec(), {3}, 5);
    ExpectGpuLayerAgrees(Spec(), {33}, 2);
    ExpectGpuLayerAgrees(Spec(), {3, 136}, 3);
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// A warp or a block per row, in registers or read again; rows of 16 bytes or not.
TEST(LayerNormGpuTest, AgreesWhateverTheSizeOfItsRows) {
  for (const int64_t size : {1024, 1028, 1501, 4096, 4100}) {
    SCOPED_TRACE(size);
    ExpectGpuLayerAgrees(Spec(), {size}, 2);
  }
  for (const int64_t size : {33, 1024, 1032, 4104}) {
    SCOPED_TRACE(size);
    ExpectGpuLayerAgrees(Spec(), {size}, 2, {.precision = Precision::kBf16, .tolerance = 0x1p-7});
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// More than one slice of rows, the last one short.
TEST(LayerNormGpuTest, AddsUpTheGradientsOfManyRows) {
  for (const bool accumulate : {false, true}) {
    ExpectGpuLayerAgrees(Spec(), {5, 9}, 17, {.accumulate = accumulate, .tolerance = 3e-5});
  }
  ExpectGpuLayerAgrees(Spec(), {40, 1501}, 1, {.tolerance = 3e-5});
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

// Results are rounded once: 2^-9 of what is above 1, and values are below 8.
TEST(LayerNormGpuTest, RoundsOnlyItsResultsInBf16) {
  ExpectGpuLayerAgrees(Spec(), {5, 40}, 9, {.precision = Precision::kBf16, .tolerance = 0x1p-8});
}

struct Results {
  std::vector<float> y, dx, dweight, dbias;

  friend bool operator==(const Results&, const Results&) = default;
};

// Noise in, both passes; `wants_dx`: as for a layer behind one that is not trained.
Results BothPasses(const LayerNormShape& shape, bool wants_dx) {
  const ValueType type = ValueType::kF32;
  const auto count = static_cast<size_t>(shape.rows * shape.size);
  const auto size = static_cast<size_t>(shape.size);
  const auto floats = [](std::byte* bytes) { return reinterpret_cast<float*>(bytes); };
  GpuArrays arrays;
  const GpuValues x = arrays.Values(ProbeNoise(count, 1), type);
  const GpuValues y = {arrays.Bytes(count * sizeof(float)), type};
  const GpuValues dx = {wants_dx ? arrays.Bytes(count * sizeof(float)) : nullptr, type};
  const GpuWeight weight = arrays.Weight(ProbeNoise(size, 3), type);
  const GpuWeight bias = arrays.Weight(ProbeNoise(size, 4), type);
  float* const means = floats(arrays.Bytes(static_cast<size_t>(shape.rows) * sizeof(float)));
  float* const inverse = floats(arrays.Bytes(static_cast<size_t>(shape.rows) * sizeof(float)));
  const GradientSum dweight = {floats(arrays.Bytes(size * sizeof(float))), false};
  const GradientSum dbias = {floats(arrays.Bytes(size * sizeof(float))), false};
  EXPECT_TRUE(LayerNormForwardGpu(arrays.stream(), shape, 1e-5, x, weight.values, bias.values,
                                  means, inverse, y)
                  .ok());
  EXPECT_TRUE(
      LayerNormBackwardGpu(arrays.stream(), shape,
                           {.x = x,
                            .dy = arrays.Values(ProbeNoise(count, 2), type),
                            .weight = weight.values,
                            .means = means,
                            .inverse_deviations = inverse,
                            .dx = dx,
                            .dweight = dweight,
                            .dbias = dbias,
                            .scratch = floats(arrays.Bytes(LayerNormScratchBytesGpu(shape)))})
          .ok());
  return {.y = arrays.Read(y, count),
          .dx = wants_dx ? arrays.Read(dx, count) : std::vector<float>(),
          .dweight = arrays.ReadAs<float>(dweight.values, size),
          .dbias = arrays.ReadAs<float>(dbias.values, size)};
}

TEST(LayerNormGpuTest, HasTheSameBitsInAnyOrderOfThreads) {
  for (const LayerNormShape& shape : {LayerNormShape{75, 33}, LayerNormShape{35, 1028}}) {
    const Results expected = BothPasses(shape, true);
    emulator::ForEachSeed(8, [&](uint64_t) { EXPECT_EQ(BothPasses(shape, true), expected); });
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  }
}

TEST(LayerNormGpuTest, LeavesOutTheGradientThatNobodyNeeds) {
  Results expected = BothPasses({7, 33}, true);
  expected.dx.clear();

  EXPECT_EQ(BothPasses({7, 33}, false), expected);
}

}  // namespace
}  // namespace drover
