// What the update kernels read from device memory: plain structs with the same layout on host and
// device. Nothing of a step is a kernel's argument, so one recorded graph serves all steps.

#ifndef DROVER_SERVER_OPTIM_UPDATE_TABLES_H_
#define DROVER_SERVER_OPTIM_UPDATE_TABLES_H_

#include <cstdint>

#include "server/optim/lookahead_formula.h"
#include "server/optim/rule.h"
#include "server/optim/trust_ratio_formula.h"

namespace drover {

// At most kStripElements consecutive weights of one block.
struct UpdateStrip {
  uint64_t offset;  // Of its first weight in every array; a multiple of 16.
  uint32_t size;
  uint32_t tensor;
};

struct UpdateTensor {
  uint32_t first_strip;
  uint32_t strip_count;
  uint32_t first_block;  // Index into UpdatePlan::block_strips.
  uint32_t block_count;
  uint32_t group;
};

// Flag of a ticket: the strip's second pass.
inline constexpr uint32_t kSecondPass = uint32_t{1} << 31;

// Constants of one update and one parameter group.
struct UpdateGroup {
  StepScalars scalars;
  TrustRatioTerms ratio;   // Only for rules with a trust ratio, where the device computes it.
  UpdateScaleTerms scale;  // Likewise.
};

// Constants of one update.
struct UpdateStep {
  double mean_factor = 1.0;  // From sums to the mean gradient: FixedPointMeanFactor.
  LookaheadStep lookahead;   // Without UpdateArrays::slow: ignored.
};

// What the device found out about one tensor.
struct TensorRatio {
  double weight_norm;
  double direction_norm;
  double ratio;
  RatioLimit limit;
};

// Device pointers, all below. One UpdatePlan, copied.
struct UpdateTables {
  const UpdateStrip* strips;
  const uint32_t* block_strips;  // [block_count + 1]
  const UpdateTensor* tensors;
  uint32_t strip_count;
  uint32_t block_count;
  uint32_t tensor_count;
};

// Arrays of UpdatePlan::elements each, at multiples of 16 bytes, not overlapping. Gaps between
// tensors are neither read nor written.
struct UpdateArrays {
  const float* weight;     // Version t.
  float* next_weight;      // Version t + 1; may be `weight`: in place.
  const float* gradient;   // Mean over the global batch, before clipping; or null and
  const int64_t* sums;     // its fixed-point sums, which are converted as they are read.
  float* slot[kSlotsMax];  // As many as the rule has.
  float* slow;             // Slow weights of Lookahead, or null.
  uint16_t* published;     // bfloat16 copy of next_weight, or null.
};

// Of one update, written by the host before it.
struct UpdateNumbersOnGpu {
  const UpdateStep* step;
  const UpdateGroup* groups;
};

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_UPDATE_TABLES_H_
