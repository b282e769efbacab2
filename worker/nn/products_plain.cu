#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/gpu_access.cuh"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

constexpr int kThreads = 128;

// Element (row, column) of what a matrix stands for is at row * row_step + column * column_step.
struct Steps {
  int64_t row;
  int64_t column;
};

Steps StepsOf(const ConstGpuMatrix& matrix) {
  if (matrix.transposed) return {1, matrix.stride};
  return {matrix.stride, 1};
}

struct Shape {
  int64_t m;
  int64_t n;
  int64_t k;
  Steps a;
  Steps b;
  int64_t c_stride;
  bool accumulate;
};

template <typename Factor, typename Sum>
__global__ void __launch_bounds__(kThreads)
    ProductKernel(Shape shape, const Factor* a, const Factor* b, const Sum* bias, Sum* c) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= shape.m * shape.n) return;
  const int64_t row = index / shape.n;
  const int64_t column = index % shape.n;
  float sum = 0.0f;
  for (int64_t i = 0; i < shape.k; ++i) {
    sum += ValueAt(a, row * shape.a.row + i * shape.a.column) *
           ValueAt(b, i * shape.b.row + column * shape.b.column);
  }
  if (bias != nullptr) sum += ValueAt(bias, column);
  const int64_t at = row * shape.c_stride + column;
  if (shape.accumulate) sum += ValueAt(c, at);
  SetValue(c, at, sum);
}

}  // namespace

Status PlainProducts::Multiply(const GpuProduct& product, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(CheckProduct(product));
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const Shape shape = {product.m,          product.n,        product.k,         StepsOf(product.a),
                       StepsOf(product.b), product.c.stride, product.accumulate};
  const auto blocks = static_cast<uint32_t>((product.m * product.n + kThreads - 1) / kThreads);
  ForType(product.a.values, [&](const auto* a) {
    using Factor = std::remove_cvref_t<decltype(*a)>;
    ForType(product.c.values, [&](auto* c) {
      using Sum = std::remove_cvref_t<decltype(*c)>;
      DROVER_LAUNCH((ProductKernel<Factor, Sum>), blocks, kThreads, 0, handle, shape, a,
                    static_cast<const Factor*>(product.b.values.data),
                    static_cast<const Sum*>(product.bias.data), c);
    });
  });
  return LaunchStatus("ProductKernel");
}

}  // namespace drover
