// The matrix product that layers on the CPU are made of: oneDNN's with our Status.
// Thread-safe: a function only.
//
// oneDNN's matmul and inner product primitives were measured too and are within 5 % (one Zen 5
// core, micro-batch 256 to 1,024, 784x256 and 256x256: sgemm 213 to 238 GFLOP/s, matmul 222 to 241,
// inner product with blocked weights 159 to 245). sgemm stays, because it adds into its result by
// itself, and because its blocking is a function of shape and instruction set alone (oneDNN 2.6
// gemm_driver.cpp, gemm_info.cpp), whereas the other two look at the size of the L2 cache: their
// bits could differ between two CPUs of one instruction set. bfloat16 has no such choice: there it
// is the matmul primitive, at twice the speed of float32 (458 to 503 GFLOP/s, same machine and
// shapes). Its kernels and 16-bit copies of the factors are kept per thread, that is per lane.

#ifndef DROVER_WORKER_NN_GEMM_H_
#define DROVER_WORKER_NN_GEMM_H_

#include <cstdint>

#include "common/base/status.h"
#include "worker/nn/layer.h"

namespace drover {

// A row-major matrix inside an array: the next row begins `stride` values after this one.
struct ConstMatrix {
  const float* values;
  int64_t stride;
  bool transposed = false;  // Stands for its transpose.
};
struct Matrix {
  float* values;
  int64_t stride;
};

// Shape of a product and the precision of its factors; it sums in float32 in any case.
struct GemmShape {
  int64_t m;
  int64_t n;
  int64_t k;
  Precision precision = Precision::kF32;
};

// c [m, n] = alpha * a [m, k] * b [k, n] + beta * c; a and b in the shape that they stand for. With
// beta 0, c is not read. kInternal when oneDNN refuses.
Status Gemm(const GemmShape& shape, float alpha, const ConstMatrix& a, const ConstMatrix& b,
            float beta, const Matrix& c);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GEMM_H_
