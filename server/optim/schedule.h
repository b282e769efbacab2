// The learning rate as a function of the step. Knows nothing of rules. Pure.
//
// With W = start_warmup_step + warmup_steps the first step after the warm-up and t the step from 0:
//   t <  W:  f * peak * (t + 1 - start_warmup_step) / warmup_steps
//   t >= W:  f * rate(t - o), where o = W, or 0 when decay_origin is kStepZero, and
//     kConstant:     peak
//     kPolynomial:   end + (peak - end) * (1 - x)^power
//     kCosine:       end + (peak - end) * (1 + cos(pi x)) / 2
//                    x = (t - o) / (total_steps - o), at most 1
//     kStep:         max(end, peak * factor^floor(p))
//     kExponential:  max(end, peak * factor^p)
//     kInverseTime:  max(end, peak / (1 + p))
//     kInverseSqrt:  max(end, peak / sqrt(1 + p))
//                    p = (t - o) / every_steps, or every_passes data passes likewise
//     kPlateau:      max(end, peak * factor^reductions); reductions come from plateau.h
//   f = 1, sqrt(batch / base_batch) or batch / base_batch, by lr_scaling.
// So the last warm-up step and the first one after it both run at the peak. kStepZero makes the
// rate jump at the end of the warm-up, as NVIDIA's BERT recipe does.
//
// kStep, kExponential and kInverseTime with o = W are PyTorch's StepLR and ExponentialLR and
// Keras' InverseTimeDecay; kCosine is PyTorch's CosineAnnealingLR; kInverseSqrt with every_steps =
// warmup_steps is the schedule of "Attention Is All You Need".

#ifndef DROVER_SERVER_OPTIM_SCHEDULE_H_
#define DROVER_SERVER_OPTIM_SCHEDULE_H_

#include <cstdint>

#include "common/base/status.h"
#include "server/optim/plateau.h"

namespace drover {

enum class Decay {
  kConstant,
  kPolynomial,
  kCosine,
  kStep,
  kExponential,
  kInverseTime,
  kInverseSqrt,
  kPlateau
};
enum class DecayOrigin { kWarmupEnd, kStepZero };
enum class LrScaling { kNone, kSqrt, kLinear };

struct Schedule {
  double peak = 1e-3;             // >= 0. For base_batch samples, unless lr_scaling is kNone.
  double end = 0.0;               // >= 0. Where a decay ends; no decay goes below it.
  int64_t warmup_steps = 0;       // >= 0.
  int64_t start_warmup_step = 0;  // <= 0. Below 0 the job enters in the middle of the warm-up.
  Decay decay = Decay::kConstant;
  DecayOrigin decay_origin = DecayOrigin::kWarmupEnd;
  double power = 1.0;        // > 0. kPolynomial: 1 is linear, 0.5 is BERT's.
  int64_t total_steps = 0;   // >= 1 for kPolynomial and kCosine.
  double factor = 0.5;       // 0 < factor <= 1. kStep, kExponential, kPlateau.
  int64_t every_steps = 0;   // >= 0, and one of the two > 0 for what divides by them.
  int64_t every_passes = 0;  // Data passes, counted by samples from step 0.
  PlateauSettings plateau;   // kPlateau.

  LrScaling lr_scaling = LrScaling::kNone;
  double base_batch = 0.0;  // Samples, > 0 unless lr_scaling is kNone.
  int64_t batch = 0;        // Samples per step, > 0 with lr_scaling or every_passes.

  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// Where a job stands. Both but `step` matter only to schedules that use them.
struct SchedulePoint {
  int64_t step = 0;           // >= 0.
  int64_t train_samples = 0;  // In one data pass; less than 1 is taken as 1.
  int64_t reductions = 0;     // Plateaus so far.
};

// What a decay depends on, and which fields a job may set for it.
bool HasPeriod(Decay decay);          // every_steps or every_passes.
bool HasFactor(Decay decay);          // factor.
bool ReachesTotalSteps(Decay decay);  // total_steps.

// kInvalidArgument naming the first field that is not finite or out of the range given above.
Status Validate(const Schedule& schedule);

// The highest learning rate of a valid schedule: peak, scaled by the batch.
double HighestRate(const Schedule& schedule);

// Learning rate of a valid schedule.
double LearningRate(const Schedule& schedule, const SchedulePoint& point);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_SCHEDULE_H_
