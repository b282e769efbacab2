// Labels of classes, as heads use them. Functions only; thread-safe.

#ifndef DROVER_WORKER_NN_CLASS_LABELS_H_
#define DROVER_WORKER_NN_CLASS_LABELS_H_

#include <cstdint>

#include "common/base/status.h"
#include "worker/nn/batch.h"

namespace drover {

// kInvalidArgument when the batch has no labels, or names the first that is not in [0, classes).
Status CheckLabels(const Batch& batch, int64_t classes);

// The index of the largest value, the first if several are equal. values: [count], at least 1.
int64_t IndexOfLargest(const float* values, int64_t count);

}  // namespace drover

#endif  // DROVER_WORKER_NN_CLASS_LABELS_H_
