// Activations and Flatten on a GPU. The formulas are those of the CPU, operation by operation:
// equal bits in float32.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/gpu_layer_table.h"
#include "worker/nn/relu_gpu.h"

namespace drover {
namespace {

const std::vector<LayerSpec>& Activations() {
  static const std::vector<LayerSpec> specs = {{.name = "relu", .kind = ReluSpec{}},
                                               {.name = "sigmoid", .kind = SigmoidSpec{}},
                                               {.name = "tanh", .kind = TanhSpec{}},
                                               {.name = "gelu", .kind = GeluSpec{}}};
  return specs;
}

TEST(ElementwiseGpuTest, HasTheBitsOfTheCpu) {
  emulator::ForEachSeed(3, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const LayerSpec& spec : Activations()) {
      SCOPED_TRACE(spec.name);
      ExpectGpuLayerAgrees(spec, {1}, 1, {.tolerance = 0});
      ExpectGpuLayerAgrees(spec, {3, 11}, 5, {.tolerance = 0});
      ExpectGpuLayerAgrees(spec, {130}, 9, {.tolerance = 0});
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

// The result is rounded to 8 bits; a derivative that is computed from it is off by as much.
TEST(ElementwiseGpuTest, RoundsItsResultsInBf16) {
  for (const LayerSpec& spec : Activations()) {
    SCOPED_TRACE(spec.name);
    for (const int64_t size : {1, 7, 33, 130}) {
      ExpectGpuLayerAgrees(spec, {size}, 9, {.precision = Precision::kBf16, .tolerance = 0x1p-8});
    }
  }
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST(ElementwiseGpuTest, MayOverwriteItsInput) {
  const std::vector<float> x = {-2.0f, -0.0f, 0.5f, 3.0f, -1.0f, 7.0f};
  GpuArrays arrays;
  const GpuValues values = arrays.Values(x, ValueType::kF32);
  const GpuValues gradient = arrays.Values({1, 2, 3, 4, 5, 6}, ValueType::kF32);

  ASSERT_TRUE(ReluForwardGpu(arrays.stream(), 6, values, values).ok());
  ASSERT_TRUE(ReluBackwardGpu(arrays.stream(), 6, values, gradient, gradient).ok());

  EXPECT_EQ(arrays.Read(values, 6), (std::vector<float>{0, 0, 0.5, 3, 0, 7}));
  EXPECT_EQ(arrays.Read(gradient, 6), (std::vector<float>{0, 0, 3, 4, 0, 6}));
}

TEST(ElementwiseGpuTest, LetsNanThroughSoThatItIsNoticed) {
  for (const LayerSpec& spec : Activations()) {
    SCOPED_TRACE(spec.name);
    for (const ValueType type : {ValueType::kF32, ValueType::kBf16}) {
      Result<std::unique_ptr<GpuLayer>> layer = MakeGpuLayer(spec, {1}, {.micro_batch = 9});
      ASSERT_TRUE(layer.ok());
      GpuArrays arrays;
      const GpuValues values = arrays.Values(std::vector<float>(9, NAN), type);

      const GpuForwardPass pass = {.lane = {&arrays.stream(), nullptr},
                                   .batch = nullptr,
                                   .training = true,
                                   .input = values,
                                   .weights = {},
                                   .output = values,
                                   .kept = nullptr,
                                   .scratch = nullptr};
      ASSERT_TRUE(layer.value()->Forward(pass).ok());

      for (const float y : arrays.Read(values, 9)) EXPECT_TRUE(std::isnan(y));
    }
  }
}

TEST(FlattenGpuTest, PutsChannelsFirstAndBack) {
  emulator::ForEachSeed(3, [](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
      // Values are copied; the inputs are rounded already.
      const GpuProbeOptions exact = {.precision = precision, .tolerance = 0};
      ExpectGpuLayerAgrees({.name = "flat", .kind = FlattenSpec{}}, {3, 5, 2}, 3, exact);
      ExpectGpuLayerAgrees({.name = "flat", .kind = FlattenSpec{}}, {7, 5, 33}, 2, exact);
    }
    EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
  });
}

}  // namespace
}  // namespace drover
