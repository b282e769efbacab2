// A model as the training loop sees it: a list of named tensors and a function from weights and a
// micro-batch to loss and gradient. Knows nothing of leaves, leases, optimizers or datasets.
// A Model is one lane: it owns its activations and is not thread-safe; each lane makes its own.
//
// The result is a pure function of (network, micro_batch, precision, weights, batch) within one
// numeric class (numeric_class.h), whichever lane, thread or process computes it.

#ifndef DROVER_WORKER_NN_MODEL_H_
#define DROVER_WORKER_NN_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "worker/nn/batch.h"
#include "worker/nn/chain.h"
#include "worker/nn/head.h"
#include "worker/nn/network_spec.h"
#include "worker/nn/padded_batch.h"
#include "worker/nn/tensor_plan.h"

namespace drover {

// Where the gradient of one leaf is summed. Borrowed for the call.
struct GradientSink {
  // [layout().SpanElements(all_blocks())] float32 at layout offsets: the *sum*, never the mean,
  // over the samples seen so far of d loss / d weight. Gaps between tensors are not touched.
  float* base = nullptr;
  // The leaf's first micro-batch: stores instead of adding, so that nothing need be zeroed before.
  bool first = true;
  // May be empty. Called once per tensor, last layer first, as soon as this micro-batch's part of
  // tensor i is in `base`; later calls of ForwardBackward may write there again, this one does not.
  std::function<void(size_t tensor)> on_final = {};
  // May be empty. Called between the forward and the backward pass, for whoever measures them.
  std::function<void()> on_backward = {};
};

// What Make refuses of a network as a whole, before it looks at a layer. kInvalidArgument.
Status CheckNetwork(const NetworkSpec& network, int64_t micro_batch);
// How a batch of the network is padded; `output`: of the last layer.
PaddedBatch::Sizes PaddedSizes(const NetworkSpec& network, const Dims& output);

class Model {
 public:
  // `micro_batch` in 1 to 65,536 is a constant of the job: it changes rounding, hence bits.
  // kInvalidArgument names the layer and field that is out of bounds or does not fit.
  static Result<std::unique_ptr<Model>> Make(const NetworkSpec& network,
                                             const LayerSetting& setting);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // In the order of the layers, then the head's; a shared tensor stands where it is met first.
  const std::vector<TensorSpec>& tensors() const { return layout_.tensors(); }
  // Layout::Make(tensors()).
  const Layout& layout() const { return layout_; }
  int64_t micro_batch() const { return setting_.micro_batch; }

  // Adds the micro-batch's gradient to `gradient.base`. `weights` is the parameter space: float32
  // at layout offsets. kInvalidArgument (bad sample count or label): nothing was written, no
  // callback was called. kInternal (the library failed): `gradient.base` is undefined. Values that
  // are not finite are no error here: they reach the gradient, whose receiver refuses it.
  // Samples that are missing to a full micro-batch contribute nothing, but are computed, so that
  // shapes, and with them bits, never change.
  Result<BatchResult> ForwardBackward(const Batch& batch, const float* weights,
                                      const GradientSink& gradient);

  // Forward only, without dropout; else the same numbers as ForwardBackward's. Errors as there.
  Result<BatchResult> Evaluate(const Batch& batch, const float* weights);

 private:
  Model(const NetworkSpec& network, const LayerSetting& setting, std::unique_ptr<Chain> chain,
        std::unique_ptr<Head> head, TensorPlan plan);

  Status CheckBatch(const Batch& batch) const;
  // Forward, loss, and where its gradient goes: chain_gradient_, or nowhere if `training` is false.
  Result<BatchResult> RunForward(const Batch& batch, bool training, const float* weights);
  void PointAtGradients(const GradientSink& gradient);

  const LayerSetting setting_;
  const std::unique_ptr<Chain> chain_;
  const std::unique_ptr<Head> head_;
  const Layout layout_;
  const std::vector<TensorUse> uses_;  // The chain's tensors(), then the head's.
  PaddedBatch padded_;
  std::vector<const float*> weights_;       // Of the current call, one per use.
  std::vector<GradientSum> gradient_sums_;  // Likewise.
  std::vector<float> output_gradient_;      // [B, output size of the chain]
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_MODEL_H_
