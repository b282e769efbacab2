// Makes what multiplies matrices on a GPU. Thread-safe.

#ifndef DROVER_WORKER_NN_PRODUCTS_H_
#define DROVER_WORKER_NN_PRODUCTS_H_

#include <memory>

#include "common/base/status.h"
#include "worker/nn/gpu_products.h"

namespace drover {

// For GPU `device`, its own for each stream. `tf32`: float32 factors may be shortened to 10 bits of
// mantissa, which is some ten times as fast; else they are not. Errors: kNotFound when cuBLASLt is
// not installed, with where it was looked for and how to install it; kFailedPrecondition when it is
// too old; kUnimplemented when the build has no CUDA; others as of GpuStream::Open. The emulated
// library makes PlainProducts.
Result<std::unique_ptr<GpuProducts>> MakeProducts(int device, bool tf32);

}  // namespace drover

#endif  // DROVER_WORKER_NN_PRODUCTS_H_
