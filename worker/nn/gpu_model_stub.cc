// Stands in for gpu_model.cc, gpu_memory.cc and gpu_weights_inlet.cc where there is no CUDA
// toolkit.

#include <optional>

#include "worker/nn/gpu_memory.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/gpu_weights_inlet.h"

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

std::optional<GpuWeightsInlet::Landed> GpuWeightsInlet::LandedOf(int64_t) { return std::nullopt; }

Result<std::unique_ptr<LeafModel>> MakeGpuLeafModel(int, std::unique_ptr<GpuProducts>,
                                                    const NetworkSpec&, const LayerSetting&,
                                                    std::shared_ptr<GpuWeightsInlet>, bool) {
  return NoCuda();
}

}  // namespace drover
