// How the batch of a step is cut into leaves, for all steps of a job: what shards must know of its
// phases. Pure values.

#ifndef DROVER_SERVER_STEP_SHAPE_H_
#define DROVER_SERVER_STEP_SHAPE_H_

#include <cstdint>
#include <span>

namespace drover {

// Of the steps from first_step on, until the next shape begins.
struct StepShape {
  int64_t first_step = 0;
  uint32_t leaves = 0;
  int64_t batch = 0;  // Samples, a multiple of `leaves`.

  int64_t leaf_samples() const { return batch / leaves; }

  friend bool operator==(const StepShape&, const StepShape&) = default;
};

// Of `step` >= 0. `shapes` are in order, the first one begins at step 0.
inline const StepShape& ShapeAt(std::span<const StepShape> shapes, int64_t step) {
  size_t index = shapes.size() - 1;
  while (index > 0 && shapes[index].first_step > step) --index;
  return shapes[index];
}

}  // namespace drover

#endif  // DROVER_SERVER_STEP_SHAPE_H_
