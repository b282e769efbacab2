// The end of a network on a GPU: as head.h, but that the result stays on the device until somebody
// asks for it. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_GPU_HEAD_H_
#define DROVER_WORKER_NN_GPU_HEAD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/nn/gpu_layer.h"
#include "worker/nn/head.h"

namespace drover {

// BatchResult, as kernels write it: sums over the batch->samples real samples, each in one order.
struct GpuBatchResult {
  double loss_sum;
  double masked_loss_sum;
  int64_t correct;
  int64_t masked_tokens;
  int64_t masked_correct;
};

struct GpuHeadPass {
  GpuLane lane;
  const Batch* batch;  // Device pointers, as for layers.
  bool training;
  ConstGpuValues input;  // [B, input size], the last layer's output.
  std::span<const GpuWeight> weights;
  GpuValues input_gradient;  // [B, input size], written; null: not wanted. Rows from
                             // batch->samples on become 0.
  std::span<const GradientSum> weight_gradients;  // Empty if input_gradient is null.
  GpuBatchResult* result;                         // On the device, written.
  std::byte* scratch;
};

class GpuHead {
 public:
  explicit GpuHead(const Head& same) : tensors_(same.tensors()) {}
  virtual ~GpuHead() = default;
  GpuHead(const GpuHead&) = delete;
  GpuHead& operator=(const GpuHead&) = delete;

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  virtual size_t scratch_bytes() const = 0;
  // Both passes. Labels and targets were checked on the host.
  virtual Status Run(const GpuHeadPass& pass) = 0;

 private:
  const std::vector<TensorSpec> tensors_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_HEAD_H_
