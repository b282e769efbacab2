// How much of a GPU's memory a model takes, and the largest micro-batch for which it would fit:
// before there is a model, and on any machine, for this build has the kernels but asks no GPU.
// Pure.

#ifndef DROVER_WORKER_NN_GPU_MEMORY_H_
#define DROVER_WORKER_NN_GPU_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "worker/nn/network_spec.h"

namespace drover {

// What there is.
struct GpuRoom {
  size_t free_bytes = 0;  // Of the memory of each GPU.
  int gpus = 1;           // Of the host; several exchange their sums of gradients.
};

struct GpuMemoryNeeds {
  size_t bytes = 0;         // With the micro-batch that was asked for.
  std::string text;         // "3.2 MiB (weights 1.9 MiB, ...)"
  int64_t micro_batch = 0;  // The largest divisor of a leaf's samples that fits; 0: none does.
};

// `leaf_samples`: at least 1. `recompute`: as of GpuChain::Make. kUnimplemented when this build has
// no CUDA; else as of Model::Make.
Result<GpuMemoryNeeds> GpuMemoryNeedsOf(const NetworkSpec& network, const LayerSetting& setting,
                                        int64_t leaf_samples, const GpuRoom& room,
                                        bool recompute = false);

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_MEMORY_H_
