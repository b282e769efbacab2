// Stands in for products_real.cc where there is no CUDA toolkit.

#include "worker/nn/products.h"

namespace drover {

Result<std::unique_ptr<GpuProducts>> MakeProducts(int, bool) {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace drover
