// MakeProducts of programs for machines with a GPU.

#include <utility>

#include "common/gpu/cublaslt.h"
#include "worker/nn/products.h"
#include "worker/nn/products_cublaslt.h"

namespace drover {

Result<std::unique_ptr<GpuProducts>> MakeProducts(int device, bool tf32) {
  Result<CublasLtApi> cublas = LoadCublasLt();
  if (!cublas.ok()) return cublas.status();
  return CublasLtProducts::Make(std::move(cublas).value(), device, tf32);
}

}  // namespace drover
