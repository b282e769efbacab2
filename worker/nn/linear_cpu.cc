// Matrix products by oneDNN's sgemm. Its matmul and inner product primitives were measured too and
// are within 5 % (one Zen 5 core, micro-batch 256 to 1,024, 784x256 and 256x256: sgemm 213 to 238
// GFLOP/s, matmul 222 to 241, inner product with blocked weights 159 to 245). sgemm stays, because
// it adds into its result by itself, and because its blocking is a function of shape and
// instruction set alone (oneDNN 2.6 gemm_driver.cpp, gemm_info.cpp), whereas the other two look at
// the size of the L2 cache: their bits could differ between two CPUs of one instruction set.

#include <fmt/format.h>

#include <algorithm>
#include <dnnl.hpp>
#include <exception>

#include "worker/nn/linear.h"

namespace drover {
namespace {

// c [m, n] = op(a) [m, k] * op(b) [k, n] + beta * c. All row-major and dense; op transposes when
// the flag is 'T'. With beta 0, c is not read.
Status Gemm(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, const float* a,
            const float* b, float beta, float* c) {
  const int64_t lda = transpose_a == 'T' ? m : k;
  const int64_t ldb = transpose_b == 'T' ? k : n;
  try {
    const dnnl::status status =
        dnnl::sgemm(transpose_a, transpose_b, m, n, k, 1.0f, a, lda, b, ldb, beta, c, n);
    if (status == dnnl::status::success) return Status();
    return Status(Code::kInternal, fmt::format("oneDNN sgemm m={} n={} k={} failed with status {}",
                                               m, n, k, static_cast<int>(status)));
  } catch (const std::exception& error) {
    return Status(Code::kInternal,
                  fmt::format("oneDNN sgemm m={} n={} k={}: {}", m, n, k, error.what()));
  }
}

}  // namespace

Status LinearForwardCpu(const LinearShape& shape, const float* x, const float* weight,
                        const float* bias, float* y) {
  // Every row begins as the bias, to which the product is added.
  for (int64_t row = 0; row < shape.rows; ++row) {
    std::copy(bias, bias + shape.output_size, y + row * shape.output_size);
  }
  return Gemm('N', 'T', shape.rows, shape.output_size, shape.input_size, x, weight, 1.0f, y);
}

Status LinearBackwardWeightsCpu(const LinearShape& shape, const float* x, const float* dy,
                                bool accumulate, float* dweight, float* dbias) {
  if (!accumulate) std::fill(dbias, dbias + shape.output_size, 0.0f);
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float* dy_row = dy + row * shape.output_size;
    for (int64_t j = 0; j < shape.output_size; ++j) dbias[j] += dy_row[j];
  }
  return Gemm('T', 'N', shape.output_size, shape.input_size, shape.rows, dy, x,
              accumulate ? 1.0f : 0.0f, dweight);
}

Status LinearBackwardDataCpu(const LinearShape& shape, const float* dy, const float* weight,
                             float* dx) {
  return Gemm('N', 'N', shape.rows, shape.input_size, shape.output_size, dy, weight, 0.0f, dx);
}

}  // namespace drover
