// From the description of a layer or head to the object that computes it on a GPU. Thread-safe:
// functions only.

#ifndef DROVER_WORKER_NN_GPU_LAYER_TABLE_H_
#define DROVER_WORKER_NN_GPU_LAYER_TABLE_H_

#include <memory>

#include "common/base/status.h"
#include "worker/nn/gpu_head.h"
#include "worker/nn/gpu_layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

// As MakeLayer and MakeHead of layer_table.h, with the same errors. Need no GPU.
Result<std::unique_ptr<GpuLayer>> MakeGpuLayer(const LayerSpec& spec, const Dims& input,
                                               const LayerSetting& setting);
Result<std::unique_ptr<GpuHead>> MakeGpuHead(const HeadSpec& spec, const Dims& input,
                                             const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_LAYER_TABLE_H_
