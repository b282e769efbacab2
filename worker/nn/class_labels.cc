#include "worker/nn/class_labels.h"

#include <fmt/format.h>

namespace drover {

Status CheckLabels(const Batch& batch, int64_t classes) {
  if (batch.labels == nullptr) {
    return Status(Code::kInvalidArgument, "the dataset has no labels of classes");
  }
  for (int64_t i = 0; i < batch.samples; ++i) {
    if (batch.labels[i] < 0 || batch.labels[i] >= classes) {
      return Status(Code::kInvalidArgument,
                    fmt::format("label {} of sample {}, expected 0 to {}: do model and dataset "
                                "agree on the number of classes?",
                                batch.labels[i], i, classes - 1));
    }
  }
  return Status();
}

int64_t IndexOfLargest(const float* values, int64_t count) {
  int64_t largest = 0;
  for (int64_t j = 1; j < count; ++j) {
    if (values[j] > values[largest]) largest = j;
  }
  return largest;
}

}  // namespace drover
