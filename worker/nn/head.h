// The end of a model: what is made of the last layer's output, the loss, and where its gradient
// begins. A head may have tensors of its own, some of them shared with layers (tied weights). Not
// thread-safe; owned by one Model.

#ifndef DROVER_WORKER_NN_HEAD_H_
#define DROVER_WORKER_NN_HEAD_H_

#include <cstdint>
#include <span>
#include <vector>

#include "worker/nn/layer.h"

namespace drover {

// Sums over the samples of a batch, never means.
struct BatchResult {
  double loss_sum = 0;  // In nats for a cross-entropy, added in sample order.
  int64_t correct = 0;  // Samples that the head counts as answered right.
  int64_t samples = 0;
  // Of heads that predict masked tokens, else 0: over the tokens, each counted alike.
  double masked_loss_sum = 0;
  int64_t masked_tokens = 0;
  int64_t masked_correct = 0;
};

struct HeadPass {
  const Batch* batch;  // Padded as for layers.
  bool training;
  const float* input;                             // [B, input size], the last layer's output.
  std::span<const float* const> weights;          // One pointer per tensor of tensors().
  float* input_gradient;                          // [B, input size], written; null: not wanted.
  std::span<const GradientSum> weight_gradients;  // As for layers; empty if input_gradient is null.
};

class Head {
 public:
  virtual ~Head() = default;

  virtual std::vector<TensorSpec> tensors() const { return {}; }
  // Whether labels or targets are there and in range. kInvalidArgument names the first bad sample.
  virtual Status Check(const Batch& batch) const = 0;
  // Rows from batch->samples on contribute nothing and have gradient 0.
  virtual Result<BatchResult> Run(const HeadPass& pass) = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_HEAD_H_
