// One layer of a model: output = f(input, weights) for a whole micro-batch, and its derivative. The
// model (model.cc) owns the activations and says where everything is; a layer may keep scratch of
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

namespace drover {

// B is the micro-batch; sizes are values per sample, rows are dense.
struct ForwardPass {
  const float* input;                     // [B, input_size]
  std::span<const float* const> weights;  // One pointer per tensor of tensors().
  float* output;                          // [B, output_size]; is `input` for in_place() layers.
};

struct BackwardPass {
  const float* input;                     // [B, input_size], as in Forward unless in_place().
  const float* output;                    // [B, output_size], what Forward wrote.
  std::span<const float* const> weights;  // As in Forward.
  const float* output_gradient;           // [B, output_size] d loss / d output.
  float* input_gradient;  // [B, input_size] d loss / d input, written; null: nobody needs it. Is
                          // `output_gradient` for in_place() layers.
  std::span<float* const> weight_gradients;  // One per tensor: sums over the B samples.
  bool accumulate;                           // Add to weight_gradients; otherwise overwrite them.
};

class Layer {
 public:
  virtual ~Layer() = default;

  virtual std::vector<TensorSpec> tensors() const = 0;
  virtual int64_t output_size() const = 0;
  // Elementwise layers whose derivative follows from the output need no memory of their own.
  virtual bool in_place() const { return false; }

  virtual Status Forward(const ForwardPass& pass) = 0;
  virtual Status Backward(const BackwardPass& pass) = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_LAYER_H_
