// What a model on a GPU consists of and where it puts everything, before there is a GPU: its memory
// is one piece whose parts never move. Pure.

#ifndef DROVER_WORKER_NN_GPU_MODEL_PLAN_H_
#define DROVER_WORKER_NN_GPU_MODEL_PLAN_H_

#include <cstddef>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "worker/nn/gpu_chain.h"
#include "worker/nn/gpu_head.h"
#include "worker/nn/network_spec.h"
#include "worker/nn/padded_batch.h"
#include "worker/nn/tensor_plan.h"

namespace drover {

// What a model is made of that needs no device.
struct GpuModelParts {
  std::unique_ptr<GpuChain> chain;
  std::unique_ptr<GpuHead> head;
  TensorPlan plan;
  PaddedBatch::Sizes sizes;
};

// `recompute`: as of GpuChain::Make. Errors as of Model::Make.
Result<GpuModelParts> MakeGpuModelParts(const NetworkSpec& network, const LayerSetting& setting,
                                        bool recompute = false);

// Bytes of device memory.
struct GpuModelBytes {
  size_t weights = 0;      // float32, and their bfloat16 copy.
  size_t gradient = 0;     // float32 sums of a leaf, fixed-point sums of leaves.
  size_t activations = 0;  // From the forward to the backward pass.
  size_t scratch = 0;
  size_t batches = 0;
  size_t arriving = 0;  // Where the next version's weights land (gpu_weights_inlet.h).

  // Of the model's own piece.
  size_t arena() const { return weights + gradient + activations + scratch + batches; }
  size_t total() const { return arena() + arriving; }
};
// "3.2 GiB (weights 1.9 GiB, ...)".
std::string TextOf(const GpuModelBytes& bytes);

// Where everything lies in the model's one piece of device memory.
struct GpuModelPlan {
  size_t weights = 0;
  size_t rounded_weights = 0;
  size_t gradient = 0;
  size_t sums = 0;
  size_t input = 0;  // As bfloat16.
  size_t kept = 0;
  size_t output_gradient = 0;
  size_t scratch = 0;
  size_t batches = 0;
  GpuModelBytes bytes;
};

GpuModelPlan PlanGpuMemory(const GpuModelParts& parts, const NetworkSpec& network,
                           const LayerSetting& setting);

// The largest micro-batch of at most `setting.micro_batch` that takes at most `bytes`, or 0.
Result<int64_t> LargestMicroBatch(const NetworkSpec& network, const LayerSetting& setting,
                                  size_t bytes, bool recompute = false);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_MODEL_PLAN_H_
