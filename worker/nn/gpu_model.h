// A model on one GPU: plans all its memory before the first step, then only enqueues. Micro-batches
// follow each other without the host waiting for any; the host waits for a leaf's sum, tensor by
// tensor, last layer first, while earlier layers are still in their backward pass. See leaf_model.h
// for the contract; one thread.
//
// Its numeric class is another one than the CPU's: the same bits on every GPU of one kind with the
// same libraries.

#ifndef DROVER_WORKER_NN_GPU_MODEL_H_
#define DROVER_WORKER_NN_GPU_MODEL_H_

#include <memory>

#include "common/base/status.h"
#include "worker/nn/gpu_products.h"
#include "worker/nn/gpu_weights_inlet.h"
#include "worker/nn/leaf_model.h"

namespace drover {

// Where the weights of all models on this GPU arrive.
std::shared_ptr<GpuWeightsInlet> MakeGpuWeightsInlet(int device);

// `inlet`: of the same GPU; opened here. Weights that are not there come from the host's memory,
// which the model then waits for. `recompute`: as of GpuChain::Make; no bit depends on it. Errors
// as of Model::Make; kResourceExhausted says what the model needs, what there is and which
// micro-batch would fit; others as of GpuStream::Open.
Result<std::unique_ptr<LeafModel>> MakeGpuLeafModel(int device,
                                                    std::unique_ptr<GpuProducts> products,
                                                    const NetworkSpec& network,
                                                    const LayerSetting& setting,
                                                    std::shared_ptr<GpuWeightsInlet> inlet = {},
                                                    bool recompute = false);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_MODEL_H_
