// A job as plain values with every default filled in: what the cores work from. Made by PlanJob
// (spec.h) from what the user wrote, after all checks. Any thread.

#ifndef DROVER_SERVER_JOB_PLAN_H_
#define DROVER_SERVER_JOB_PLAN_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/optim/schedule.h"
#include "server/optim/settings.h"
#include "server/step_shape.h"

namespace drover {

// Consecutive steps with one batch and one schedule. Most jobs have one phase.
struct PhasePlan {
  int64_t first_step = 0;  // Of the job; 0 in the first phase.
  int64_t steps = 0;
  int64_t batch = 0;        // Samples per step; a multiple of leaves * micro_batch.
  int64_t leaves = 32;      // Units of work per step.
  int64_t micro_batch = 0;  // Samples per device pass.
  Schedule schedule;        // Its steps count from first_step.
  // The number of updates that bias correction and first updates look at begins again at 1, the
  // moments stay.
  bool restart_updates = false;

  int64_t leaf_samples() const { return batch / leaves; }
};

struct JobPlan {
  std::string name;
  std::vector<PhasePlan> phases;  // At least one, without gaps.
  int64_t steps = 0;              // Of all phases.
  uint64_t seed = 1;
  int fraction_bits = 0;  // Of the fixed-point sums; fits the largest batch.
  OptimizerSettings optimizer;
  bool bf16 = false;               // Workers multiply, and pull weights, in bfloat16.
  bool mixed = false;              // Workers of different numeric classes may serve the job.
  bool fail_on_nonfinite = false;  // Else the step is skipped.
  int64_t max_consecutive_skips = 5;
  int64_t checkpoint_every_steps = 0;  // 0: only at the end.
  int64_t checkpoint_keep = 3;
  int64_t evaluation_every_steps = 0;     // 0: only at the end.
  std::optional<double> target_accuracy;  // In the last evaluation, at least.
  int64_t deadline_ms = 0;                // Run time at most; 0: none.
  int64_t ttl_after_end_ms = -1;          // Deleted so long after its end; -1: never.
  int64_t priority = 0;
  uint32_t min_workers = 1;  // That are free when it starts.
  uint32_t max_workers = 0;  // 0: as many as there are.
  std::map<std::string, std::string> labels;

  // The phase of step `step`; the last one for the version after the last step.
  const PhasePlan& PhaseAt(int64_t step) const {
    size_t index = phases.size() - 1;
    while (index > 0 && phases[index].first_step > step) --index;
    return phases[index];
  }
  // Samples of all steps before `step`: where its own begin in the row of data passes.
  int64_t SamplesBefore(int64_t step) const {
    int64_t samples = 0;
    for (const PhasePlan& phase : phases) {
      if (step <= phase.first_step) break;
      samples += std::min(step - phase.first_step, phase.steps) * phase.batch;
    }
    return samples;
  }
  std::vector<StepShape> shapes() const {
    std::vector<StepShape> shapes;
    for (const PhasePlan& phase : phases) {
      shapes.push_back({phase.first_step, static_cast<uint32_t>(phase.leaves), phase.batch});
    }
    return shapes;
  }
};

}  // namespace drover

#endif  // DROVER_SERVER_JOB_PLAN_H_
