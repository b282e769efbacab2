#include "server/spec_checker.h"

namespace drover {
namespace {

constexpr double kRateMax = 1e6;
constexpr int64_t kBaseBatchMax = int64_t{1} << 40;

void ReadDecay(const v1::ScheduleSpec& spec, Schedule* schedule, SpecChecker* checker) {
  schedule->decay =
      spec.decay() == v1::ScheduleSpec::DECAY_POLYNOMIAL ? Decay::kPolynomial : Decay::kConstant;
  checker->Holds("schedule.end", spec.end(), spec.end() >= 0.0 && spec.end() <= kRateMax,
                 "a learning rate from 0 to 1e6");
  schedule->end = spec.end();
  if (spec.has_power()) {
    checker->Holds("schedule.power", spec.power(), spec.power() > 0.0 && spec.power() <= 100.0,
                   "0 < power <= 100");
    schedule->power = spec.power();
  }
  if (schedule->decay == Decay::kPolynomial) return;
  if (spec.end() != 0.0) checker->Add("schedule.end", "needs schedule.decay: polynomial");
  if (spec.has_power()) checker->Add("schedule.power", "needs schedule.decay: polynomial");
}

void ReadScaling(const v1::ScheduleSpec& spec, int64_t batch, Schedule* schedule,
                 SpecChecker* checker) {
  schedule->lr_scaling = spec.lr_scaling() == v1::ScheduleSpec::LR_SCALING_SQRT ? LrScaling::kSqrt
                         : spec.lr_scaling() == v1::ScheduleSpec::LR_SCALING_LINEAR
                             ? LrScaling::kLinear
                             : LrScaling::kNone;
  if (schedule->lr_scaling == LrScaling::kNone) {
    if (spec.base_batch() != 0) {
      checker->Add("schedule.base_batch", "needs schedule.lr_scaling: sqrt or linear");
    }
    return;
  }
  if (spec.base_batch() == 0) {
    checker->Add("schedule.base_batch", "is missing: the batch for which schedule.peak is meant");
    return;
  }
  checker->InRange("schedule.base_batch", spec.base_batch(), 1, kBaseBatchMax);
  schedule->base_batch = static_cast<double>(spec.base_batch());
  schedule->batch = static_cast<double>(batch);
}

}  // namespace

Schedule ReadSchedule(const v1::ScheduleSpec& spec, int64_t steps, int64_t batch,
                      SpecChecker* checker) {
  const size_t violations = checker->violations().size();
  Schedule schedule;
  schedule.total_steps = steps;
  schedule.peak = spec.peak();
  if (spec.peak() == 0.0) {
    checker->Add("schedule.peak", "is missing: the highest learning rate, a number > 0");
  } else {
    checker->Holds("schedule.peak", spec.peak(), spec.peak() > 0.0 && spec.peak() <= kRateMax,
                   "a learning rate from 0 (not included) to 1e6");
  }
  schedule.warmup_steps = spec.warmup_steps();
  schedule.start_warmup_step = spec.start_warmup_step();
  const bool start_fits =
      checker->InRange("schedule.start_warmup_step", spec.start_warmup_step(), -kStepsMax, 0);
  if (checker->InRange("schedule.warmup_steps", spec.warmup_steps(), 0, 2 * kStepsMax) &&
      start_fits && spec.warmup_steps() + spec.start_warmup_step() >= steps &&
      spec.warmup_steps() > 0) {
    checker->Add("schedule.warmup_steps",
                 "is {}: the warm-up would end at step {}, expected before the last of {} steps",
                 spec.warmup_steps(), spec.warmup_steps() + spec.start_warmup_step(), steps);
  }
  ReadDecay(spec, &schedule, checker);
  ReadScaling(spec, batch, &schedule, checker);
  const Status together = Validate(schedule);
  if (!together.ok() && checker->violations().size() == violations) {
    checker->Add("schedule", "{}", together.message());
  }
  return schedule;
}

}  // namespace drover
