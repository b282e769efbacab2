#include <algorithm>

#include "worker/nn/gemm.h"
#include "worker/nn/linear.h"
#include "worker/nn/simd_cpu.h"

namespace drover {
namespace {

// Row after row, so that every sum has one order.
DROVER_SIMD
void AddRows(int64_t rows, int64_t columns, const float* values, float* sums) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = values + row * columns;
    for (int64_t j = 0; j < columns; ++j) sums[j] += from[j];
  }
}

}  // namespace

Status LinearForwardCpu(const LinearShape& shape, const float* x, const float* weight,
                        const float* bias, float* y) {
  // Every row begins as the bias, to which the product is added.
  for (int64_t row = 0; row < shape.rows; ++row) {
    std::copy(bias, bias + shape.output_size, y + row * shape.output_size);
  }
  return Gemm({shape.rows, shape.output_size, shape.input_size, shape.precision}, 1.0f,
              {x, shape.input_size}, {weight, shape.input_size, /*transposed=*/true}, 1.0f,
              {y, shape.output_size});
}

Status LinearBackwardWeightsCpu(const LinearShape& shape, const float* x, const float* dy,
                                bool accumulate, float* dweight, float* dbias) {
  if (!accumulate) std::fill(dbias, dbias + shape.output_size, 0.0f);
  AddRows(shape.rows, shape.output_size, dy, dbias);
  return Gemm({shape.output_size, shape.input_size, shape.rows, shape.precision}, 1.0f,
              {dy, shape.output_size, /*transposed=*/true}, {x, shape.input_size},
              accumulate ? 1.0f : 0.0f, {dweight, shape.input_size});
}

Status LinearBackwardDataCpu(const LinearShape& shape, const float* dy, const float* weight,
                             float* dx) {
  return Gemm({shape.rows, shape.input_size, shape.output_size, shape.precision}, 1.0f,
              {dy, shape.output_size}, {weight, shape.input_size}, 0.0f, {dx, shape.input_size});
}

}  // namespace drover
