#include "worker/nn/products_cublaslt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/nn/fake_cublaslt.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/products.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kM = 5, kN = 7, kK = 3;

// A product of matrices inside larger arrays, whose rest must stay as it is.
struct ProductCase {
  bool a_is_transposed = false;
  bool b_is_transposed = false;
  ValueType factors = ValueType::kF32;
  ValueType result = ValueType::kF32;
  bool has_bias = false;
  bool accumulate = false;
};

class CublasLtProductsTest : public testing::Test {
 protected:
  std::unique_ptr<GpuProducts> Make(bool tf32 = false) {
    Result<std::unique_ptr<GpuProducts>> made = CublasLtProducts::Make(cublas_.Api(), 0, tf32);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return std::move(made).value();
  }

  GpuProduct Describe(const ProductCase& c) {
    const auto matrix = [&](int64_t rows, int64_t columns, bool transposed, uint64_t seed) {
      if (transposed) std::swap(rows, columns);
      const int64_t stride = columns + 2;
      return ConstGpuMatrix{
          arrays_.Values(ProbeNoise(static_cast<size_t>(rows * stride), seed), c.factors), stride,
          transposed};
    };
    GpuProduct product = {.m = kM,
                          .n = kN,
                          .k = kK,
                          .a = matrix(kM, kK, c.a_is_transposed, 1),
                          .b = matrix(kK, kN, c.b_is_transposed, 2),
                          .c = {NewResult(c.result), kN + 3},
                          .accumulate = c.accumulate};
    if (c.has_bias) product.bias = arrays_.Values(ProbeNoise(kN, 3), c.result);
    return product;
  }

  GpuValues NewResult(ValueType type) { return arrays_.Values(ProbeNoise(kM * (kN + 3), 4), type); }
  std::vector<float> Read(const GpuProduct& product) {
    return arrays_.Read(product.c.values, kM * (kN + 3));
  }

  FakeCublasLt cublas_;
  GpuArrays arrays_;
};

// The library is simulated column by column, so layouts, transposes and the order of the factors
// are right where the results are.
TEST_F(CublasLtProductsTest, EveryKindOfProductIsWhatPlainProductsMake) {
  const std::unique_ptr<GpuProducts> products = Make();
  PlainProducts plain;
  for (int kind = 0; kind < 32; ++kind) {
    SCOPED_TRACE(kind);
    const bool is_bf16 = (kind & 4) != 0;
    const ProductCase c = {
        .a_is_transposed = (kind & 1) != 0,
        .b_is_transposed = (kind & 2) != 0,
        .factors = is_bf16 ? ValueType::kBf16 : ValueType::kF32,
        .result = is_bf16 && (kind & 16) == 0 ? ValueType::kBf16 : ValueType::kF32,
        .has_bias = (kind & 8) != 0,
        .accumulate = (kind & 16) != 0};
    GpuProduct product = Describe(c);
    ASSERT_TRUE(plain.Multiply(product, arrays_.stream()).ok());
    const std::vector<float> expected = Read(product);
    product.c.values = NewResult(c.result);

    const Status status = products->Multiply(product, arrays_.stream());

    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(Read(product), expected);
  }
}

TEST_F(CublasLtProductsTest, AsksForFloat32SumsAndSchemesThatRepeat) {
  const std::unique_ptr<GpuProducts> products = Make();
  const GpuProduct product = Describe({.b_is_transposed = true,
                                       .factors = ValueType::kBf16,
                                       .result = ValueType::kBf16,
                                       .has_bias = true});

  ASSERT_TRUE(products->Multiply(product, arrays_.stream()).ok());

  const FakeCublasLt::Product& asked = cublas_.product;
  EXPECT_EQ(asked.desc.compute_type, kCublasCompute32F);
  EXPECT_EQ(asked.desc.scale_type, kCudaF32);
  EXPECT_THAT(asked.desc.transposes, ElementsAre(kCublasOpT, kCublasOpN));
  EXPECT_EQ(asked.desc.epilogue, kCublasLtEpilogueBias);
  EXPECT_EQ(asked.desc.bias, product.bias.data);
  EXPECT_EQ(asked.a_values, product.b.values.data);
  EXPECT_EQ(asked.b_values, product.a.values.data);
  EXPECT_EQ(asked.c_values, asked.d_values);
  EXPECT_EQ(asked.a.type, kCudaBf16);
  EXPECT_EQ(asked.c.type, kCudaBf16);
  EXPECT_EQ(asked.alpha, 1.0f);
  EXPECT_EQ(asked.beta, 0.0f);
  EXPECT_EQ(asked.stream, arrays_.stream().handle());
  EXPECT_NE(asked.workspace, nullptr);
  EXPECT_EQ(asked.workspace_bytes, size_t{32} << 20);
  EXPECT_EQ(cublas_.preference.workspace_bytes, size_t{32} << 20);
  EXPECT_EQ(cublas_.preference.reductions, kCublasLtReductionComputeType);
}

TEST_F(CublasLtProductsTest, OnlyFloat32FactorsAreShortenedAndOnlyIfAsked) {
  const GpuProduct wide = Describe({});
  const GpuProduct narrow = Describe({.factors = ValueType::kBf16, .result = ValueType::kBf16});
  const std::unique_ptr<GpuProducts> exact = Make();
  const std::unique_ptr<GpuProducts> fast = Make(/*tf32=*/true);

  ASSERT_TRUE(exact->Multiply(wide, arrays_.stream()).ok());
  EXPECT_EQ(cublas_.product.desc.compute_type, kCublasCompute32F);
  ASSERT_TRUE(fast->Multiply(wide, arrays_.stream()).ok());
  EXPECT_EQ(cublas_.product.desc.compute_type, kCublasCompute32FFastTf32);
  ASSERT_TRUE(fast->Multiply(narrow, arrays_.stream()).ok());
  EXPECT_EQ(cublas_.product.desc.compute_type, kCublasCompute32F);
  EXPECT_EQ(exact->name(), "cublaslt-13.1.0");
  EXPECT_EQ(fast->name(), "cublaslt-13.1.0 tf32");
}

TEST_F(CublasLtProductsTest, AnAlgorithmIsChosenOncePerShape) {
  const std::unique_ptr<GpuProducts> products = Make();
  GpuProduct product = Describe({.has_bias = true});
  ASSERT_TRUE(products->Multiply(product, arrays_.stream()).ok());
  product.bias = arrays_.Values(ProbeNoise(kN, 9), ValueType::kF32);
  product.c.values = NewResult(ValueType::kF32);

  ASSERT_TRUE(products->Multiply(product, arrays_.stream()).ok());
  EXPECT_EQ(cublas_.heuristics, 1);
  EXPECT_EQ(cublas_.product.algo, 1u);
  EXPECT_EQ(cublas_.product.desc.bias, product.bias.data);
  product.n = kN - 1;
  ASSERT_TRUE(products->Multiply(product, arrays_.stream()).ok());
  EXPECT_EQ(cublas_.heuristics, 2);
  EXPECT_EQ(cublas_.product.algo, 2u);
  product.n = kN;
  ASSERT_TRUE(products->Multiply(product, arrays_.stream()).ok());
  EXPECT_EQ(cublas_.heuristics, 2);
  EXPECT_EQ(cublas_.product.algo, 1u);
}

TEST_F(CublasLtProductsTest, AlignmentsAreThoseOfTheArrays) {
  const std::unique_ptr<GpuProducts> products = Make();
  const GpuValues all = {arrays_.Bytes(4096), ValueType::kF32};
  const auto aligned =
      reinterpret_cast<uintptr_t>(all.data) + (256 - reinterpret_cast<uintptr_t>(all.data) % 256);
  const auto at = [&](uintptr_t bytes) {
    return GpuValues{reinterpret_cast<void*>(aligned + bytes), ValueType::kF32};
  };
  GpuProduct product = {
      .m = 2, .n = 2, .k = 2, .a = {at(4), 2}, .b = {at(272), 2}, .c = {at(1024), 2}};

  ASSERT_TRUE(products->Multiply(product, arrays_.stream()).ok());
  EXPECT_THAT(cublas_.preference.alignments, ElementsAre(16, 4, 256, 256));
  product.a.values = at(8);
  ASSERT_TRUE(products->Multiply(product, arrays_.stream()).ok());
  EXPECT_EQ(cublas_.heuristics, 2);
  EXPECT_THAT(cublas_.preference.alignments, ElementsAre(16, 8, 256, 256));
}

TEST_F(CublasLtProductsTest, WhatTheLibraryRefusesNamesTheProduct) {
  const GpuProduct product = Describe({});
  for (const char* function : {"MatmulDescCreate", "MatmulDescSetAttribute", "MatrixLayoutCreate",
                               "MatmulPreferenceCreate", "MatmulPreferenceSetAttribute",
                               "MatmulAlgoGetHeuristic", "state", "Matmul"}) {
    SCOPED_TRACE(function);
    cublas_.failing = function;
    const std::unique_ptr<GpuProducts> products = Make();
    const Status status = products->Multiply(product, arrays_.stream());
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr("cuBLASLt 13.1.0 on GPU 0"), HasSubstr("not supported")));
    // What failed is not remembered.
    cublas_.failing.clear();
    EXPECT_TRUE(products->Multiply(product, arrays_.stream()).ok());
  }
  EXPECT_EQ(cublas_.alive, 0);
}

TEST_F(CublasLtProductsTest, AShapeWithoutAnAlgorithmIsAnError) {
  const std::unique_ptr<GpuProducts> products = Make();
  cublas_.algorithms = 0;

  const Status status = products->Multiply(Describe({}), arrays_.stream());

  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("has no algorithm for [5, 3] x [3, 7]"));
}

TEST_F(CublasLtProductsTest, MixedTypesAreRefusedBeforeTheLibraryIsAsked) {
  const std::unique_ptr<GpuProducts> products = Make();
  GpuProduct factors = Describe({});
  factors.b.values.type = ValueType::kBf16;
  GpuProduct bias = Describe({.has_bias = true});
  bias.bias.type = ValueType::kBf16;
  const GpuProduct sum =
      Describe({.factors = ValueType::kBf16, .result = ValueType::kBf16, .accumulate = true});

  for (const GpuProduct& product : {factors, bias, sum}) {
    EXPECT_EQ(products->Multiply(product, arrays_.stream()).code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(cublas_.heuristics, 0);
}

TEST_F(CublasLtProductsTest, ALibraryThatDoesNotBeginIsAnError) {
  cublas_.failing = "Create";

  const Status status = CublasLtProducts::Make(cublas_.Api(), 0, false).status();

  EXPECT_EQ(status.message(), "cuBLASLt 13.1.0 on GPU 0: begin: not supported");
  EXPECT_EQ(CublasLtProducts::Make(cublas_.Api(), 9, false).status().code(),
            Code::kInvalidArgument);
}

TEST_F(CublasLtProductsTest, EverythingIsDestroyed) {
  Make()->Multiply(Describe({.has_bias = true}), arrays_.stream()).ok();

  EXPECT_EQ(cublas_.alive, 0);
}

TEST(MakeProductsTest, TheEmulatorMultipliesByThePlainKernel) {
  EXPECT_EQ(MakeProducts(0, false).value()->name(), "plain");
}

}  // namespace
}  // namespace drover
