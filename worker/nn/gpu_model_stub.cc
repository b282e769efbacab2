// Stands in for gpu_model.cc and gpu_memory.cc where there is no CUDA toolkit.

#include "worker/nn/gpu_memory.h"
#include "worker/nn/gpu_model.h"

namespace drover {
namespace {

Status NoCuda() {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace

Result<GpuMemoryNeeds> GpuMemoryNeedsOf(const NetworkSpec&, const LayerSetting&, int64_t,
                                        const GpuRoom&, bool) {
  return NoCuda();
}

std::shared_ptr<GpuWeightsInlet> MakeGpuWeightsInlet(int) { return nullptr; }

Result<std::unique_ptr<LeafModel>> MakeGpuLeafModel(int, std::unique_ptr<GpuProducts>,
                                                    const NetworkSpec&, const LayerSetting&,
                                                    std::shared_ptr<GpuWeightsInlet>, bool) {
  return NoCuda();
}

}  // namespace drover
