// Stands in for mean_gpu.cu where there is no CUDA toolkit.

#include "server/optim/mean_gpu.h"

namespace drover {

Status ConvertOnGpu(const UpdateTables&, const int64_t*, double, float*, double*, double*,
                    const GpuStream&) {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace drover
