// What a model holds of a GPU. Errors are Statuses; nothing is computed here. Owned by one
// GpuModel.

#ifndef DROVER_WORKER_NN_GPU_MODEL_DEVICE_H_
#define DROVER_WORKER_NN_GPU_MODEL_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_batches.h"
#include "worker/nn/gpu_head.h"
#include "worker/nn/gpu_model_plan.h"
#include "worker/nn/gpu_products.h"
#include "worker/nn/gpu_weights_inlet.h"

namespace drover {

struct GpuModelDevice {
  GpuStream compute;
  GpuStream downloads;
  DeviceBuffer<std::byte> memory;
  GpuBatches batches;
  std::vector<GpuEvent> tensors;  // One each: its gradient is whole.
  DeviceBuffer<uint32_t> bad;     // One each: its first bad element.
  PinnedBuffer<uint32_t> bad_on_host;
  DeviceBuffer<GpuBatchResult> result;  // [1], of the micro-batch that is computed.
  std::unique_ptr<GpuProducts> products;
};

// Opens `inlet` too, unless null; `recompute`: how `parts` were made. kResourceExhausted says what
// the model needs and which micro-batch would fit.
Result<GpuModelDevice> OpenGpuModelDevice(int index, const GpuModelParts& parts,
                                          const GpuModelPlan& plan, const NetworkSpec& network,
                                          const LayerSetting& setting,
                                          std::unique_ptr<GpuProducts> products,
                                          GpuWeightsInlet* inlet, bool recompute);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_MODEL_DEVICE_H_
