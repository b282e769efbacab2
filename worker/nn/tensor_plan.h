// Which tensors a network has, and which of its layers uses which: tensors of one name are one
// tensor (tied weights). Pure.

#ifndef DROVER_WORKER_NN_TENSOR_PLAN_H_
#define DROVER_WORKER_NN_TENSOR_PLAN_H_

#include <cstddef>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"

namespace drover {

// One tensor as one layer uses it.
struct TensorUse {
  size_t tensor;      // Index in the layout.
  bool writes_first;  // Of all that share the tensor it is the first in a backward pass ...
  bool writes_last;   // ... or the last.
};

struct TensorPlan {
  Layout layout;                // A shared tensor stands where it is met first.
  std::vector<TensorUse> uses;  // As given to PlanTensors.
};

// `uses`: the tensors of all layers in order, then the head's; a backward pass meets them in
// reverse order. kInvalidArgument when two of one name differ, or Layout::Make refuses.
Result<TensorPlan> PlanTensors(const std::vector<TensorSpec>& uses);

}  // namespace drover

#endif  // DROVER_WORKER_NN_TENSOR_PLAN_H_
