// A model as the training loop sees it: a list of named tensors and a function from weights and a
// micro-batch to loss and gradient. Knows nothing of leaves, leases, optimizers or datasets.
// A Model is one lane: it owns its activations and is not thread-safe; each lane makes its own.
//
// The result is a pure function of (spec, micro_batch, weights, batch) within one numeric class
// (numeric_class.h), whichever lane, thread or process computes it.

#ifndef DROVER_WORKER_NN_MODEL_H_
#define DROVER_WORKER_NN_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"

namespace drover {

struct ModelSpec {
  enum class Kind {
    kMlp,  // Linear and ReLU for each of `hidden`, then Linear to `classes`.
  };
  Kind kind = Kind::kMlp;
  int64_t input_size = 0;       // Values of one sample, 1 to 2^20.
  std::vector<int64_t> hidden;  // Widths, 1 to 2^20 each, at most 1,000; empty: softmax regression.
  int64_t classes = 0;          // 2 to 2^20.

  friend bool operator==(const ModelSpec&, const ModelSpec&) = default;
};

// Up to micro_batch samples. Borrowed for the call. Rows that are missing to a full micro-batch are
// replaced by zeros that contribute nothing, so that shapes, and with them bits, never change.
struct Batch {
  const float* inputs = nullptr;    // [samples, input_size] float32.
  const int32_t* labels = nullptr;  // [samples], in [0, classes).
  int64_t samples = 0;              // 1 to micro_batch.
};

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

struct BatchResult {
  double loss_sum = 0;  // Softmax cross-entropy in nats, added in sample order.
  int64_t correct = 0;  // Samples whose largest logit (the first, if equal) is their label's.
  int64_t samples = 0;
};

class Layer;
class SoftmaxCrossEntropy;

class Model {
 public:
  // `micro_batch` in 1 to 65,536 is a constant of the job: it changes rounding, hence bits.
  // kInvalidArgument names the field that is out of bounds.
  static Result<std::unique_ptr<Model>> Make(const ModelSpec& spec, int64_t micro_batch);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // In layer order: "dense0/weight" [out, in] (as in PyTorch's nn.Linear), "dense0/bias" [out], ...
  const std::vector<TensorSpec>& tensors() const { return layout_.tensors(); }
  // Layout::Make(tensors()).
  const Layout& layout() const { return layout_; }
  int64_t micro_batch() const { return micro_batch_; }
  int64_t input_size() const { return input_size_; }
  int64_t classes() const { return classes_; }

  // Adds the micro-batch's gradient to `gradient.base`. `weights` is the parameter space: float32
  // at layout offsets. kInvalidArgument (bad sample count or label): nothing was written, no
  // callback was called. kInternal (the library failed): `gradient.base` is undefined. Values that
  // are not finite are no error here: they reach the gradient, whose receiver refuses it.
  Result<BatchResult> ForwardBackward(const Batch& batch, const float* weights,
                                      const GradientSink& gradient);

  // Forward only; the same numbers as ForwardBackward's. Errors as there.
  Result<BatchResult> Evaluate(const Batch& batch, const float* weights);

 private:
  struct Stage;  // A layer, where its tensors are and what it wrote.

  Model(std::vector<std::unique_ptr<Layer>> layers, Layout layout, int64_t input_size,
        int64_t classes, int64_t micro_batch);

  Status CheckBatch(const Batch& batch) const;
  Status Forward(const Batch& batch, const float* weights);
  Status Backward(const GradientSink& gradient);

  const Layout layout_;
  const int64_t micro_batch_;
  const int64_t input_size_;
  const int64_t classes_;
  const std::unique_ptr<SoftmaxCrossEntropy> loss_;
  std::vector<Stage> stages_;
  std::vector<float> activation_gradients_[2];  // [micro_batch, widest layer] each.
  std::vector<float> padded_input_;  // [micro_batch, input_size]; empty until a short batch comes.
  const float* input_ = nullptr;     // Of the current call: the batch's, or padded_input_.
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_MODEL_H_
