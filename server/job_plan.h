// A job as plain values with every default filled in: what the cores work from. Made by PlanJob
// (spec.h) from what the user wrote, after all checks. No behaviour; any thread.

#ifndef DROVER_SERVER_JOB_PLAN_H_
#define DROVER_SERVER_JOB_PLAN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "server/optim/schedule.h"
#include "server/optim/settings.h"

namespace drover {

struct JobPlan {
  std::string name;
  int64_t batch = 0;        // Samples per step; a multiple of leaves * micro_batch.
  int64_t leaves = 32;      // Units of work per step.
  int64_t micro_batch = 0;  // Samples per device pass.
  int64_t steps = 0;
  uint64_t seed = 1;
  int fraction_bits = 0;  // Of the fixed-point sums.
  OptimizerSettings optimizer;
  Schedule schedule;
  bool mixed = false;              // Workers of different numeric classes may serve the job.
  bool fail_on_nonfinite = false;  // Else the step is skipped.
  int64_t max_consecutive_skips = 5;
  int64_t checkpoint_every_steps = 0;  // 0: only at the end.
  int64_t checkpoint_keep = 3;
  int64_t evaluation_every_steps = 0;     // 0: only at the end.
  std::optional<double> target_accuracy;  // In the last evaluation, at least.
  int64_t deadline_ms = 0;                // Run time at most; 0: none.
  int64_t priority = 0;
  std::map<std::string, std::string> labels;

  int64_t leaf_samples() const { return batch / leaves; }
};

}  // namespace drover

#endif  // DROVER_SERVER_JOB_PLAN_H_
