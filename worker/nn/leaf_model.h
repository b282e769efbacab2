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
#include <optional>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "common/tensor/weights_view.h"
#include "worker/nn/batch.h"
#include "worker/nn/head.h"
#include "worker/nn/network_spec.h"

namespace drover {

class GpuStream;

// Adds leaves up where they are computed, as fixed point (common/tensor/fixed_point.h): exactly, so
// that it does not matter which device adds which leaves, and that the host sees only their sum.
struct LeafSums {
  double scale = 1.0;  // 2^F.
  float limit =
      0.0f;           // A leaf's gradient is good when finite and below it in magnitude: LeafLimit.
  bool first = true;  // Begins a sum; later leaves are added to it.
  bool last = true;   // Brings the sum to `sums`.
  // [SpanElements(all_blocks())] at layout offsets; gaps between tensors are not touched.
  int64_t* sums = nullptr;
  // Called once per tensor of the last leaf, last layer first, as soon as its sum is whole in
  // `sums`; not for one whose gradient is bad.
  std::function<void(size_t tensor)> on_final = {};
  // Instead of `sums` and `on_final`, of the last leaf on a GPU: called where on_final would be,
  // takes the tensor's sum where it is, in memory of the device: `sums` has all tensors at layout
  // offsets with zeros between them. This one and those before are whole when `stream` has passed,
  // and stay until EndLeaf has returned. An error ends the leaf.
  std::function<Status(size_t tensor, const GpuStream& stream, const int64_t* sums)> deposit = {};
};

// The first element of a leaf's gradient that fixed point cannot hold.
struct BadElement {
  size_t tensor;
  uint64_t element;  // In the tensor.
  float value;

  friend bool operator==(const BadElement&, const BadElement&) = default;
};

struct LeafResult {
  std::vector<BatchResult> micro_batches;
  std::optional<BadElement> bad = {};  // With LeafSums only: nothing of that tensor was added.
};

// One leaf. Borrowed until EndLeaf has returned, or the next BeginLeaf.
struct LeafWork {
  // Equal versions are equal weights, which need not be brought to a device twice. Models that
  // compute on the host take float32 only.
  int64_t version = 0;
  WeightsView weights = {};
  // [layout().SpanElements(all_blocks())] float32 at layout offsets: the *sum*, never the mean,
  // over the leaf's samples of d loss / d weight. Gaps between tensors are not touched.
  float* gradient = nullptr;
  // May be empty. Called once per tensor, last layer first, as soon as its sum is whole in
  // `gradient`.
  std::function<void(size_t tensor)> on_final = {};
  // Instead of the two above, for models that add leaves.
  std::optional<LeafSums> sums = {};
  // May be empty. Called between the passes of each micro-batch where they are run one after the
  // other, for whoever measures them; a device that queues them does not call it.
  std::function<void()> on_backward = {};
};

class LeafModel {
 public:
  virtual ~LeafModel() = default;

  virtual const Layout& layout() const = 0;
  virtual int64_t micro_batch() const = 0;
  // Whether LeafWork::sums may be set.
  virtual bool adds_leaves() const = 0;

  // A leaf is BeginLeaf, Add for each of its micro-batches in order, EndLeaf. After an error, or to
  // abandon it, begin another one. Errors of all three: kInvalidArgument names the bad sample,
  // label or token; kInternal and kResourceExhausted say what the device refused. Values that are
  // not finite are no error here: they reach the gradient, whose receiver refuses it.
  virtual Status BeginLeaf(LeafWork work) = 0;
  // `batch` need not stay. `last`: of this leaf. May wait for earlier micro-batches, not for this
  // one.
  virtual Status Add(const Batch& batch, bool last) = 0;
  // Waits until everything is there. One result per micro-batch.
  virtual Result<LeafResult> EndLeaf() = 0;

  // Forward only, without dropout; else the same numbers.
  virtual Result<BatchResult> Evaluate(int64_t version, WeightsView weights,
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
