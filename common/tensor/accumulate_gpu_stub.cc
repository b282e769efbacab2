// Stands in for accumulate_gpu.cu where there is no CUDA toolkit.

#include "common/tensor/accumulate_gpu.h"

namespace drover {

Status AccumulateOnGpu(std::span<const AccumulateInput>, uint32_t, bool, double, int64_t*,
                       uint32_t*, const GpuStream&) {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace drover
