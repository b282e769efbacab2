// Activations and Flatten on a GPU. The formulas are those of the CPU, operation by operation:
// equal bits in float32.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/tensor/bf16.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/float_gelu.h"
#include "worker/nn/gelu_gpu.h"
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

// Where the formulas for bfloat16 could go wrong: far out, at the infinities, at both zeros.
TEST(GeluGpuTest, HasItsLimitsInBf16) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-kInfinity, -1e30f, -20.5f, -0.0f, 0.0f, 20.5f, 1e30f, kInfinity};
  GpuArrays arrays;
  const GpuValues values = arrays.Values(x, ValueType::kBf16);
  const GpuValues y = arrays.Values(x, ValueType::kBf16);
  const GpuValues dx = arrays.Values(std::vector<float>(x.size(), 1.0f), ValueType::kBf16);

  ASSERT_TRUE(GeluForwardGpu(arrays.stream(), 8, values, y).ok());
  ASSERT_TRUE(GeluBackwardGpu(arrays.stream(), 8, values, dx, dx).ok());

  const std::vector<float> rounded = arrays.Read(values, 8);
  EXPECT_EQ(arrays.Read(y, 8),
            (std::vector<float>{0, 0, 0, 0, 0, rounded[5], rounded[6], kInfinity}));
  EXPECT_EQ(arrays.Read(dx, 8), (std::vector<float>{0, 0, 0, 0.5, 0.5, 1, 1, 1}));
}

// From -6 to 6, against the formulas of the CPU: two roundings to 8 bits at most apart.
TEST(GeluGpuTest, IsAsExactAsBf16Allows) {
  std::vector<float> x;
  for (int i = -384; i <= 384; ++i) x.push_back(FromBf16(ToBf16(static_cast<float>(i) / 64)));
  const auto count = static_cast<int64_t>(x.size());
  GpuArrays arrays;
  const GpuValues values = arrays.Values(x, ValueType::kBf16);
  const GpuValues y = {arrays.Bytes(2 * x.size()), ValueType::kBf16};
  const GpuValues dx = arrays.Values(std::vector<float>(x.size(), 1.0f), ValueType::kBf16);

  ASSERT_TRUE(GeluForwardGpu(arrays.stream(), count, values, y).ok());
  ASSERT_TRUE(GeluBackwardGpu(arrays.stream(), count, values, dx, dx).ok());

  const std::vector<float> outputs = arrays.Read(y, x.size());
  const std::vector<float> slopes = arrays.Read(dx, x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(outputs[i], GeluOf(x[i]), 0x1p-8 * std::fabs(GeluOf(x[i]))) << x[i];
    EXPECT_NEAR(slopes[i], GeluSlope(x[i]), 0x1p-8 * std::fabs(GeluSlope(x[i])) + 1e-6) << x[i];
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
