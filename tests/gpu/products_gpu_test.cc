// cuBLASLt on a real GPU beside the plain kernel: what is asked of it is right, and it gives the
// same bits on every run. What is asked for each kind of product: tests/unit/worker/nn.

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/gpu/cublaslt.h"
#include "tests/gpu/require_gpu.h"
#include "tests/unit/worker/nn/gpu_layer_probe.h"
#include "worker/nn/products.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

struct Shape {
  const char* name;
  int64_t m, n, k;
  bool a_is_transposed = false;
  bool b_is_transposed = false;
  bool has_bias = false;
  bool accumulate = false;   // Into float32, whatever the factors are.
  bool wide_result = false;  // Float32, whatever the factors are.
  int64_t c_gap = 0;         // Between the rows of c.
};

// The three products of a layer, forward, of weights and of data, as the models have them.
const Shape kShapes[] = {
    {"MNIST, first layer", 64, 128, 784, false, true, true},
    {"MNIST, its weights", 128, 784, 64, true, false, false, true},
    {"MNIST, last layer", 64, 10, 128, false, true, true},
    {"MNIST, its data", 64, 128, 10},
    {"one row", 1, 33, 130, false, true, true},
    {"one column", 130, 1, 33},
    {"BERT, attention", 512, 1024, 1024, false, true, true},
    {"BERT, first of feed-forward", 512, 4096, 1024, false, true, true},
    {"BERT, its weights", 4096, 1024, 512, true, false, false, true},
    {"BERT, its data", 512, 1024, 4096},
    {"BERT, logits", 76, 30522, 1024, false, true, true, false, true, 6},
    {"BERT, next sentence", 16, 2, 1024, false, true, true},
    {"BERT-base, attention", 256, 768, 768, false, true, true},
};

class ProductsOnGpu : public testing::Test {
 protected:
  void SetUp() override {
    DROVER_REQUIRE_GPU();
    Result<std::unique_ptr<GpuProducts>> made = MakeProducts(0, /*tf32=*/false);
    if (made.status().code() == Code::kNotFound) GTEST_SKIP() << made.status().message();
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    products_ = std::move(made).value();
    arrays_ = std::make_unique<GpuArrays>();
  }

  GpuProduct Describe(const Shape& s, ValueType type) {
    const auto matrix = [&](int64_t rows, int64_t columns, bool transposed, uint64_t seed) {
      const auto size = static_cast<size_t>(rows * columns);
      return ConstGpuMatrix{arrays_->Values(ProbeNoise(size, seed), type),
                            transposed ? rows : columns, transposed};
    };
    const bool is_wide = s.accumulate || s.wide_result;
    const ValueType result = is_wide ? ValueType::kF32 : type;
    c_size_ = static_cast<size_t>(s.m * (s.n + s.c_gap));
    GpuProduct product = {.m = s.m,
                          .n = s.n,
                          .k = s.k,
                          .a = matrix(s.m, s.k, s.a_is_transposed, 1),
                          .b = matrix(s.k, s.n, s.b_is_transposed, 2),
                          .c = {{nullptr, result}, s.n + s.c_gap},
                          .accumulate = s.accumulate};
    if (s.has_bias) {
      product.bias = arrays_->Values(ProbeNoise(static_cast<size_t>(s.n), 3), result);
    }
    return product;
  }

  std::vector<float> Multiply(GpuProducts* products, GpuProduct product) {
    product.c.values = arrays_->Values(ProbeNoise(c_size_, 4), product.c.values.type);
    const Status status = products->Multiply(product, arrays_->stream());
    EXPECT_TRUE(status.ok()) << status.ToString();
    return arrays_->Read(product.c.values, c_size_);
  }

  std::unique_ptr<GpuProducts> products_;
  std::unique_ptr<GpuArrays> arrays_;
  size_t c_size_ = 0;
};

class ProductsGpuTest : public ProductsOnGpu, public testing::WithParamInterface<Shape> {};

// Each of k roundings is 2^-24 of a partial sum, which for noise in [-1, 1) stays below 4 sqrt(k /
// 9) (four standard deviations); they add up at random, to sqrt(k) of them. A bfloat16 result is
// rounded once more. TF32 would be off by some 2^-12 of sqrt(k) and not pass.
double Tolerance(int64_t k, ValueType result, float expected) {
  const double sums = 8.0 * 0x1p-24 * static_cast<double>(k) + 0x1p-22;
  return result == ValueType::kBf16 ? sums + 0x1p-7 * std::fabs(double{expected}) : sums;
}

TEST_P(ProductsGpuTest, AgreesWithThePlainKernelAndWithItself) {
  for (const ValueType type : {ValueType::kF32, ValueType::kBf16}) {
    SCOPED_TRACE(type == ValueType::kF32 ? "float32" : "bfloat16");
    const GpuProduct product = Describe(GetParam(), type);
    PlainProducts plain;

    const std::vector<float> expected = Multiply(&plain, product);
    const std::vector<float> first = Multiply(products_.get(), product);

    for (size_t i = 0; i < first.size(); ++i) {
      ASSERT_NEAR(first[i], expected[i],
                  Tolerance(GetParam().k, product.c.values.type, expected[i]))
          << "[" << i << "]";
    }
    for (int run = 0; run < 5; ++run) ASSERT_EQ(Multiply(products_.get(), product), first) << run;
    // Nor does it depend on which object computes.
    const std::unique_ptr<GpuProducts> other = MakeProducts(0, /*tf32=*/false).value();
    ASSERT_EQ(Multiply(other.get(), product), first);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ProductsGpuTest, testing::ValuesIn(kShapes),
                         [](const auto& shape) {
                           std::string name;
                           for (const char c : std::string(shape.param.name)) {
                             if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
                           }
                           return name;
                         });

using Tf32GpuTest = ProductsOnGpu;

TEST_F(Tf32GpuTest, IsAsNearAsItsFactorsAreLong) {
  const Shape shape = {"", 512, 1024, 1024, false, true, true};
  const GpuProduct product = Describe(shape, ValueType::kF32);
  PlainProducts plain;
  const std::vector<float> expected = Multiply(&plain, product);
  const std::unique_ptr<GpuProducts> fast = MakeProducts(0, /*tf32=*/true).value();

  const std::vector<float> got = Multiply(fast.get(), product);

  // Up to 2^-10 of each factor is cut off: of the result where that goes one way, else at random.
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], 0x1p-9 * (std::fabs(expected[i]) + std::sqrt(1024.0))) << i;
  }
  EXPECT_EQ(Multiply(fast.get(), product), got);
}

TEST(CublasLtTest, TheInstalledLibraryIsOneThatDroverCanUse) {
  Result<CublasLtApi> cublas = LoadCublasLt();
  if (cublas.status().code() == Code::kNotFound) GTEST_SKIP() << cublas.status().message();
  ASSERT_TRUE(cublas.ok()) << cublas.status().message();

  EXPECT_GE(cublas.value().GetVersion(), 120000u);
}

}  // namespace
}  // namespace drover
