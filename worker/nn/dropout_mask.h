// Which values of a layer dropout strikes out: a pure function of the job's seed, the layer's name,
// the position of the sample in the row of training samples and the value's number in the sample.
// So the mask of a sample is the same whoever computes it. Immutable; any thread.

#ifndef DROVER_WORKER_NN_DROPOUT_MASK_H_
#define DROVER_WORKER_NN_DROPOUT_MASK_H_

#include <cstdint>
#include <string_view>

namespace drover {

struct DropoutSample {
  uint64_t seed;      // Batch::seed.
  uint64_t position;  // Batch::positions of the sample.
};

class DropoutMask {
 public:
  // Strikes out with `probability`, in [0, 1), in steps of 2^-32.
  DropoutMask(std::string_view layer, double probability);

  // What the values that stay are multiplied with: 1 / (1 - probability).
  float scale() const { return scale_; }

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
