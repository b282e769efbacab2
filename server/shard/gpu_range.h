// The arrays of one range in the memory of a GPU, shared by its GradientSums and its WeightArrays.
// Every array has Layout::SpanElements(range) elements, gaps between tensors are 0. Immutable but
// for what the arrays hold, which their users order among themselves.
//
// Memory of the GPU: int64 sums, the mean gradient, weights (updated in place: versions are served
// from host memory) and the rule's state: for LAMB and AdamW 8 + 4 + 4 + 4 + 4 = 24 bytes per
// parameter. Host memory: two versions of the weights and the mean gradient for the redo log.

#ifndef DROVER_SERVER_SHARD_GPU_RANGE_H_
#define DROVER_SERVER_SHARD_GPU_RANGE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "common/tensor/layout.h"
#include "server/step_messages.h"

namespace drover {

struct GpuRange {
  // All arrays of the ordered range, zeroed. kResourceExhausted, with the bytes, when they do not
  // fit.
  static Result<std::shared_ptr<GpuRange>> Make(int device, const PlaceOrder& place);

  size_t bytes() const;

  int device = 0;
  std::shared_ptr<const Layout> layout;
  BlockRange owned;
  RuleState rule;
  uint64_t elements = 0;
  DeviceBuffer<int64_t> sums;
  DeviceBuffer<float> mean;
  DeviceBuffer<float> weights;
  std::vector<DeviceBuffer<float>> state;  // Slots of the rule, then the slow weights, if any.
};

// A GPU that fails after a job was placed on it is like a process that was killed: nothing here can
// be trusted any more, and the CUDA runtime of this process stays broken. Logs it and ends the
// process; restarted, the shard goes on from its local files. Returns when `status` is OK.
void EndProcessUnless(const Status& status, const char* doing);

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_GPU_RANGE_H_
