// Stands in for update_gpu.cu and update_fused_gpu.cu where there is no CUDA toolkit.

#include "server/optim/update_gpu.h"

namespace drover {
namespace {

Status NoCuda() {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace

Status MeasureOnGpu(Rule, const UpdateTables&, const UpdateNumbersOnGpu&, const UpdateArrays&,
                    BlockNorms*, BlockNorms*, const GpuStream&) {
  return NoCuda();
}

Status TrustRatiosOnGpu(const UpdateTables&, const UpdateNumbersOnGpu&, const BlockNorms*, float*,
                        TensorRatio*, const GpuStream&) {
  return NoCuda();
}

Status ApplyOnGpu(Rule, const UpdateTables&, const UpdateNumbersOnGpu&, const UpdateArrays&,
                  const float*, const GpuStream&) {
  return NoCuda();
}

Status FusedUpdateOnGpu(Rule, const UpdateTables&, const uint32_t*, uint32_t,
                        const UpdateNumbersOnGpu&, const UpdateArrays&, const FusedCounters&,
                        BlockNorms*, float*, TensorRatio*, uint32_t, const GpuStream&) {
  return NoCuda();
}

}  // namespace drover
