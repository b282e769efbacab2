// Where weights go on their way to a device, chunk by chunk as they arrive over the network, while
// that device still computes with the version before. One of each device; thread-safe.

#ifndef DROVER_WORKER_NN_WEIGHTS_INLET_H_
#define DROVER_WORKER_NN_WEIGHTS_INLET_H_

#include <cstdint>

#include "common/tensor/weights_view.h"

namespace drover {

// Elements that have arrived. The memory stays as it is until the Begin of another version has
// returned.
struct ArrivedWeights {
  ElementRange elements;
  bool is_bf16 = false;
  const void* values = nullptr;  // float32 or bfloat16 [elements.size()] in the host's memory.
};

class WeightsInlet {
 public:
  virtual ~WeightsInlet() = default;

  // What arrives next is of this version; what had arrived of another one is void. Blocks until no
  // copy reads the host's memory any more: copies of a version are over long before the next one
  // begins.
  virtual void Begin(int64_t version) = 0;
  // Only enqueues. Nothing happens unless `version` is the one that was begun.
  virtual void Arrived(int64_t version, const ArrivedWeights& chunk) = 0;
  // Everything of `version` has arrived. May wait for the copies, of weights and of nothing else.
  virtual void Complete(int64_t version) = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_WEIGHTS_INLET_H_
