// Which values of a layer dropout strikes out: a pure function of the job's seed, the layer's name,
// the position of the sample in the row of training samples and the value's number in the sample.
// So the mask of a sample is the same whoever computes it. Immutable; any thread.

#ifndef DROVER_WORKER_NN_DROPOUT_MASK_H_
#define DROVER_WORKER_NN_DROPOUT_MASK_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "common/base/host_device.h"
#include "common/base/philox.h"

namespace drover {

struct DropoutSample {
  uint64_t seed;      // Batch::seed.
  uint64_t position;  // Batch::positions of the sample.
};

// What the masks of a layer are drawn from, as plain values: kernels take it as an argument.
struct DropoutDraw {
  uint64_t key;
  uint64_t layer;      // In the upper 32 bits.
  uint32_t threshold;  // Random words below it strike out.
  float scale;         // As DropoutMask::scale().

  // For the values of a sample with the numbers 4 * group to 4 * group + 3.
  DROVER_HOST_DEVICE std::array<uint32_t, 4> Words(uint64_t position, uint64_t group) const {
    return Philox(key, position, layer + group);
  }
  // Bit j is set if value 4 * group + j is struck out.
  DROVER_HOST_DEVICE uint32_t StruckOut(uint64_t position, uint64_t group) const {
    const std::array<uint32_t, 4> words = Words(position, group);
    return (words[0] < threshold ? 1u : 0u) | (words[1] < threshold ? 2u : 0u) |
           (words[2] < threshold ? 4u : 0u) | (words[3] < threshold ? 8u : 0u);
  }
};

class DropoutMask {
 public:
  // Strikes out with `probability`, in [0, 1), in steps of 2^-32.
  DropoutMask(std::string_view layer, double probability);

  // What the values that stay are multiplied with: 1 / (1 - probability).
  float scale() const { return scale_; }

  // `seed` is Batch::seed.
  DropoutDraw draw(uint64_t seed) const;

  // values: [count], none with its sign bit set; they have the numbers first, first + 1, ... in
  // their sample, below 2^34; `first` is a multiple of 4. Sets the sign bit of each that is struck
  // out.
  void StrikeOut(const DropoutSample& sample, uint64_t first, int64_t count, float* values) const;

 private:
  const uint64_t layer_;      // In the upper 32 bits.
  const uint32_t threshold_;  // Random words below it strike out.
  const float scale_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_DROPOUT_MASK_H_
