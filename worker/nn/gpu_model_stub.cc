// Stands in for gpu_model.cc where there is no CUDA toolkit.

#include "worker/nn/gpu_model.h"

namespace drover {

Result<std::unique_ptr<LeafModel>> MakeGpuLeafModel(int, std::unique_ptr<GpuProducts>,
                                                    const NetworkSpec&, const LayerSetting&) {
  return Status(Code::kUnimplemented,
                "this build has no CUDA: install the CUDA toolkit 12 or later and build again");
}

}  // namespace drover
