// The arithmetic under an Accumulator: int64 sums of one step's gradient for the chunks of a range,
// and the mean gradient that they become. In host memory (host_gradient_sums.h) or in a GPU's, with
// the same bits. Knows nothing of leaves, fences or locks.
//
// Threads: calls for different chunks may run at once; for one chunk the caller sees to it that
// they do not, and that what reads means runs after all chunks were turned into means.

#ifndef DROVER_SERVER_SHARD_GRADIENT_SUMS_H_
#define DROVER_SERVER_SHARD_GRADIENT_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/rpc/frame.h"
#include "server/shard/payload_sum.h"

namespace drover {

class GradientSums {
 public:
  virtual ~GradientSums() = default;

  // Stores or adds the payload of a gradient frame, or leaves the sums as they were: payload_sum.h.
  // A chunk is an index into Layout::Chunks of the range.
  virtual PayloadOutcome Sum(size_t chunk, const ReceivedFrame& frame,
                             const PayloadRules& rules) = 0;

  // The sums of a chunk become its mean gradient, float32(double(sum) * factor), and its blocks'
  // squares; the sums are lost. Gaps between tensors become 0, whatever was sent in them.
  virtual void ToMean(size_t chunk, double factor) = 0;
  // The same from a mean gradient that was kept: [elements of the chunk], gaps 0.
  virtual void LoadMean(size_t chunk, std::span<const float> mean) = 0;

  // In host memory: [elements of the chunk].
  virtual std::span<const float> mean(size_t chunk) const = 0;
  // Sum of squares of each block's mean gradient, in the order of the range's blocks.
  virtual const std::vector<double>& block_squares() const = 0;

  // Memory held, wherever it is: what does not shrink between steps.
  virtual size_t bytes() const = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_GRADIENT_SUMS_H_
