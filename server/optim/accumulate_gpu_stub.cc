// Stands in for accumulate_gpu.cu where there is no CUDA toolkit.

#include "server/optim/accumulate_gpu.h"

namespace drover {
namespace {

Status NoCuda() {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace

Status AccumulateOnGpu(std::span<const AccumulateInput>, uint32_t, bool, double, int64_t*,
                       uint32_t*, const GpuStream&) {
  return NoCuda();
}

Status ConvertOnGpu(const UpdateTables&, const int64_t*, double, float*, double*, double*,
                    const GpuStream&) {
  return NoCuda();
}

}  // namespace drover
