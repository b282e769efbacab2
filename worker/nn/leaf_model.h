// A model as whoever computes leaves uses it, on whatever device: micro-batch after micro-batch
// into one sum. Knows nothing of leases, optimizers or datasets. Not thread-safe; each lane makes
// its own.
//
// The gradient of a leaf is a pure function of (network, micro-batch, precision, weights, batches)
// within one numeric class, whichever lane, process or machine computes it.

#ifndef DROVER_WORKER_NN_LEAF_MODEL_H_
#define DROVER_WORKER_NN_LEAF_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "worker/nn/batch.h"
#include "worker/nn/head.h"
#include "worker/nn/network_spec.h"

namespace drover {

// One leaf. Borrowed until EndLeaf has returned, or the next BeginLeaf.
struct LeafWork {
  // The parameter space: float32 at layout offsets. Equal versions are equal weights, which need
  // not be brought to a device twice.
  int64_t version = 0;
  const float* weights = nullptr;
  // [layout().SpanElements(all_blocks())] float32 at layout offsets: the *sum*, never the mean,
  // over the leaf's samples of d loss / d weight. Gaps between tensors are not touched.
  float* gradient = nullptr;
  // May be empty. Called once per tensor, last layer first, as soon as its sum is whole in
  // `gradient`.
  std::function<void(size_t tensor)> on_final = {};
  // May be empty. Called between the passes of each micro-batch where they are run one after the
  // other, for whoever measures them; a device that queues them does not call it.
  std::function<void()> on_backward = {};
};

class LeafModel {
 public:
  virtual ~LeafModel() = default;

  virtual const Layout& layout() const = 0;
  virtual int64_t micro_batch() const = 0;

  // A leaf is BeginLeaf, Add for each of its micro-batches in order, EndLeaf. After an error, or to
  // abandon it, begin another one. Errors of all three: kInvalidArgument names the bad sample,
  // label or token; kInternal and kResourceExhausted say what the device refused. Values that are
  // not finite are no error here: they reach the gradient, whose receiver refuses it.
  virtual Status BeginLeaf(LeafWork work) = 0;
  // `batch` need not stay. `last`: of this leaf. May wait for earlier micro-batches, not for this
  // one.
  virtual Status Add(const Batch& batch, bool last) = 0;
  // Waits until everything is there. One result per micro-batch.
  virtual Result<std::vector<BatchResult>> EndLeaf() = 0;

  // Forward only, without dropout; else the same numbers.
  virtual Result<BatchResult> Evaluate(int64_t version, const float* weights,
                                       const Batch& batch) = 0;
};

// What makes a model on one device; any thread.
using LeafModelMaker = std::function<Result<std::unique_ptr<LeafModel>>(
    const NetworkSpec& network, const LayerSetting& setting)>;

// On the CPU, single-threaded: model.h. Callbacks come from Add.
Result<std::unique_ptr<LeafModel>> MakeCpuLeafModel(const NetworkSpec& network,
                                                    const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LEAF_MODEL_H_
