// The learning rate as a function of the step. Knows nothing of rules. Pure.
//
// With factor = 1, sqrt(batch / base_batch) or batch / base_batch by lr_scaling, W =
// start_warmup_step
// + warmup_steps the first step after the warm-up, and t the step from 0:
//   t <  W:  factor * peak * (t + 1 - start_warmup_step) / warmup_steps
//   t >= W:  kConstant:    factor * peak
//            kPolynomial:  factor * (end + (peak - end) * (1 - x)^power)
//            x = (t - W) / (total_steps - W), or t / total_steps when decay_origin is kStepZero;
//            at most 1, so the rate stays at `end` from total_steps on.
// So the last warm-up step and the first one after it both run at the peak. kStepZero makes the
// rate jump at the end of the warm-up, as NVIDIA's BERT recipe does.

#ifndef DROVER_SERVER_OPTIM_SCHEDULE_H_
#define DROVER_SERVER_OPTIM_SCHEDULE_H_

#include <cstdint>

#include "common/base/status.h"

namespace drover {

enum class Decay { kConstant, kPolynomial };
enum class DecayOrigin { kWarmupEnd, kStepZero };
enum class LrScaling { kNone, kSqrt, kLinear };

struct Schedule {
  double peak = 1e-3;             // >= 0. For base_batch samples, unless lr_scaling is kNone.
  double end = 0.0;               // >= 0. Reached at total_steps; kPolynomial only.
  int64_t warmup_steps = 0;       // >= 0.
  int64_t start_warmup_step = 0;  // <= 0. Below 0 the job enters in the middle of the warm-up.
  Decay decay = Decay::kConstant;
  DecayOrigin decay_origin = DecayOrigin::kWarmupEnd;
  double power = 1.0;       // > 0. 1 is linear, 0.5 is BERT's.
  int64_t total_steps = 0;  // >= 1 for kPolynomial.

  LrScaling lr_scaling = LrScaling::kNone;
  double base_batch = 0.0;  // Samples, > 0 unless lr_scaling is kNone.
  double batch = 0.0;       // Samples per step of this job, likewise.

  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// kInvalidArgument naming the first field that is not finite or out of the range given above.
Status Validate(const Schedule& schedule);

// Learning rate of step `step` >= 0 of a valid schedule.
double LearningRate(const Schedule& schedule, int64_t step);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_SCHEDULE_H_
