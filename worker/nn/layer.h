// One layer of a model: output = f(input, weights) for a whole micro-batch, and its derivative. The
// chain (chain.h) owns the activations and says where everything is; a layer may keep scratch of
// its own between Forward and Backward. Implementations exist per device: all pointers of a pass
// are memory of the layer's device. Not thread-safe; owned by one Model.
//
// A layer's arithmetic must be a pure function of what it is given: the same order of additions on
// every run, whatever the number of threads and the alignment of the pointers.

#ifndef DROVER_WORKER_NN_LAYER_H_
#define DROVER_WORKER_NN_LAYER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "worker/nn/batch.h"

namespace drover {

// Extents of what one sample is between two layers, without the micro-batch: {size}, {T, features}
// for a sequence, {height, width, channels} for an image. Dense, the last one fastest.
using Dims = std::vector<int64_t>;

int64_t ElementsOf(const Dims& dims);    // Their product.
std::string DimsText(const Dims& dims);  // "28x28x1".

// B is the micro-batch; sizes are values per sample, rows are dense.
struct ForwardPass {
  const Batch* batch;  // Padded: all B rows can be read, batch->samples of them are real.
  bool training;       // Dropout acts.
  const float* input;  // [B, input size]; null for the first layer of a network fed with tokens.
  std::span<const float* const> weights;  // One pointer per tensor of tensors().
  float* output;                          // [B, output size]; may be `input` for kInPlace layers.
};

// Where a layer adds up the gradient of one tensor over the samples.
struct GradientSum {
  float* values;    // [elements of the tensor]
  bool accumulate;  // Add to what is there; otherwise overwrite it.
};

struct BackwardPass {
  const Batch* batch;
  const float* input;                     // As in Forward, unless the next layer is kInPlace.
  const float* output;                    // What Forward wrote; see keeps_output().
  std::span<const float* const> weights;  // As in Forward.
  float* output_gradient;                 // [B, output size] d loss / d output. May be overwritten.
  float* input_gradient;  // [B, input size] d loss / d input, written; null: nobody needs it. May
                          // be `output_gradient` for kInPlace layers.
  std::span<const GradientSum> weight_gradients;  // One per tensor: sums over the B samples.
};

enum class Precision { kF32, kBf16 };

// What every layer of a model is made with.
struct LayerSetting {
  int64_t micro_batch = 0;
  Precision precision = Precision::kF32;  // Of products; sums, weights and activations are float32.
};

class Layer {
 public:
  enum class Storage {
    kOwn,      // Output is memory of its own.
    kInPlace,  // Elementwise, derivative from the output: may overwrite its input.
    kView,     // Output is the input under other Dims: neither pass is ever called.
  };

  virtual ~Layer() = default;

  // Names are unique in a model, but for tensors that several layers share (tied weights): those
  // have the same shape and initial values everywhere.
  virtual std::vector<TensorSpec> tensors() const { return {}; }
  virtual const Dims& output_dims() const = 0;
  virtual Storage storage() const { return Storage::kOwn; }
  // Backward reads `output`, so that no later layer may overwrite it.
  virtual bool keeps_output() const { return false; }

  virtual Status Forward(const ForwardPass& pass) = 0;
  virtual Status Backward(const BackwardPass& pass) = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_LAYER_H_
