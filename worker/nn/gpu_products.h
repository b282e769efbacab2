// Matrix products on a GPU: the one thing that its layers leave to a library (cuBLASLt,
// products_cublaslt.h), and how to describe one. products.h makes them; products_plain.h has the
// same as a slow kernel of our own, which the emulator can run and which tests on a GPU compare the
// library with. One thread.

#ifndef DROVER_WORKER_NN_GPU_PRODUCTS_H_
#define DROVER_WORKER_NN_GPU_PRODUCTS_H_

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_values.h"

namespace drover {

// A row-major matrix inside an array: the next row begins `stride` values after this one.
struct ConstGpuMatrix {
  ConstGpuValues values;
  int64_t stride;
  bool transposed = false;  // Stands for its transpose.
};
struct GpuMatrix {
  GpuValues values;
  int64_t stride;
};

// c [m, n] = a [m, k] * b [k, n] + bias + (accumulate ? c : 0); a and b in the shape that they
// stand for. Factors are of one type; sums are float32, rounded once when c is bfloat16. c is
// float32 when it accumulates.
struct GpuProduct {
  int64_t m;
  int64_t n;
  int64_t k;
  ConstGpuMatrix a;
  ConstGpuMatrix b;
  GpuMatrix c;
  ConstGpuValues bias = {};  // [n], of c's type, added to each row; null: none.
  bool accumulate = false;
};

class GpuProducts {
 public:
  virtual ~GpuProducts() = default;

  // Whose arithmetic it is, as a part of the numeric class: "cublaslt-13.1.0".
  virtual std::string name() const = 0;
  // Enqueues; the same bits on every run. kInvalidArgument for types or shapes that do not fit,
  // kInternal when the library refuses.
  virtual Status Multiply(const GpuProduct& product, const GpuStream& stream) = 0;
};

// "[M, K] x [K, N]", for messages.
std::string ProductText(const GpuProduct& product);
// kInvalidArgument unless types and shapes are as GpuProduct says.
Status CheckProduct(const GpuProduct& product);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_PRODUCTS_H_
