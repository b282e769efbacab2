// The arithmetic under a StepEngine: the optimizer state of a range and the passes of its rule over
// weights, in host memory (host_weight_arrays.h) or on a GPU, with the same bits. Knows nothing of
// versions, votes or files.
//
// Arrays are float32, [Layout::SpanElements(range)] each, gaps between tensors 0. Weights come and
// go in host memory, where they are served from. One thread at a time.

#ifndef DROVER_SERVER_SHARD_WEIGHT_ARRAYS_H_
#define DROVER_SERVER_SHARD_WEIGHT_ARRAYS_H_

#include <cstddef>
#include <vector>

#include "common/tensor/buffer.h"
#include "server/shard/accumulator.h"
#include "server/step_messages.h"

namespace drover {

// Sums of squares of each block of a range, in order.
struct MeasuredSquares {
  std::vector<double> weight;
  std::vector<double> direction;
};

class WeightArrays {
 public:
  virtual ~WeightArrays() = default;

  // Where a starting point is written: an array for each of the rule's state, zeros until the first
  // call. Then Begin with the weights that belong to it.
  virtual std::vector<float*> StateToFill() = 0;
  virtual void Begin(const FloatBuffer& weights) = 0;
  // The state as it is now; valid until the next call of anything but this.
  virtual std::vector<const float*> State() = 0;

  // Of the numbers' directions and what they are taken from. `weights` are those of Begin or of the
  // last Apply; `gradient` is complete.
  virtual MeasuredSquares Measure(const UpdateNumbers& numbers, const FloatBuffer& weights,
                                  const Accumulator& gradient) = 0;
  // Moves the state on and fills `next`; `weights` stay as they are.
  virtual void Apply(const UpdateNumbers& numbers, const FloatBuffer& weights,
                     const Accumulator& gradient, FloatBuffer* next) = 0;

  // Memory held, wherever it is, without the weights in host memory.
  virtual size_t bytes() const = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_WEIGHT_ARRAYS_H_
