#include "server/spec_checker.h"

namespace drover {
namespace {

constexpr double kRateMax = 1e6;
constexpr int64_t kBaseBatchMax = int64_t{1} << 40;

constexpr int64_t kPassesMax = 1'000'000;
constexpr int64_t kPatienceMax = 1'000'000;

Decay DecayOf(v1::ScheduleSpec::Decay decay) {
  switch (decay) {
    case v1::ScheduleSpec::DECAY_POLYNOMIAL:
    case v1::ScheduleSpec::DECAY_LINEAR:
      return Decay::kPolynomial;
    case v1::ScheduleSpec::DECAY_COSINE:
      return Decay::kCosine;
    case v1::ScheduleSpec::DECAY_STEP:
      return Decay::kStep;
    case v1::ScheduleSpec::DECAY_EXPONENTIAL:
      return Decay::kExponential;
    case v1::ScheduleSpec::DECAY_INVERSE_TIME:
      return Decay::kInverseTime;
    case v1::ScheduleSpec::DECAY_INVERSE_SQRT:
      return Decay::kInverseSqrt;
    case v1::ScheduleSpec::DECAY_PLATEAU:
      return Decay::kPlateau;
    default:
      return Decay::kConstant;  // Unknown numbers have been refused.
  }
}

void ReadPeriod(const std::string& path, const v1::ScheduleSpec& spec, Schedule* schedule,
                SpecChecker* checker) {
  schedule->every_steps = spec.every_steps();
  schedule->every_passes = spec.every_passes();
  checker->InRange(path + ".every_steps", spec.every_steps(), 0, kStepsMax);
  checker->InRange(path + ".every_passes", spec.every_passes(), 0, kPassesMax);
  if (!HasPeriod(schedule->decay)) {
    const std::string needs =
        "needs " + path + ".decay: step, exponential, inverse_time or inverse_sqrt";
    if (spec.every_steps() != 0) checker->Add(path + ".every_steps", "{}", needs);
    if (spec.every_passes() != 0) checker->Add(path + ".every_passes", "{}", needs);
  } else if (spec.every_steps() == 0 && spec.every_passes() == 0) {
    checker->Add(path + ".every_steps", "is missing: the period of the decay, or {}.every_passes",
                 path);
  } else if (spec.every_steps() != 0 && spec.every_passes() != 0) {
    checker->Add(path + ".every_passes", "stands beside {}.every_steps, expected one of them",
                 path);
  }
}

void ReadPlateau(const std::string& path, const v1::ScheduleSpec& spec, Schedule* schedule,
                 SpecChecker* checker) {
  if (spec.has_patience()) schedule->plateau.patience = spec.patience();
  checker->InRange(path + ".patience", schedule->plateau.patience, 0, kPatienceMax);
  if (spec.has_min_improvement()) schedule->plateau.min_improvement = spec.min_improvement();
  const double least = schedule->plateau.min_improvement;
  checker->Holds(path + ".min_improvement", least, least >= 0.0 && least < 1.0,
                 "a share of the loss, 0 <= min_improvement < 1");
  if (schedule->decay == Decay::kPlateau) return;
  if (spec.has_patience()) checker->Add(path + ".patience", "needs {}.decay: plateau", path);
  if (spec.has_min_improvement()) {
    checker->Add(path + ".min_improvement", "needs {}.decay: plateau", path);
  }
}

void ReadDecay(const std::string& path, const v1::ScheduleSpec& spec, Schedule* schedule,
               SpecChecker* checker) {
  schedule->decay = DecayOf(spec.decay());
  if (spec.decay_origin() == v1::ScheduleSpec::DECAY_ORIGIN_STEP_ZERO) {
    schedule->decay_origin = DecayOrigin::kStepZero;
  }
  checker->Holds(path + ".end", spec.end(), spec.end() >= 0.0 && spec.end() <= kRateMax,
                 "a learning rate from 0 to 1e6");
  schedule->end = spec.end();
  if (schedule->decay == Decay::kConstant && spec.end() != 0.0) {
    checker->Add(path + ".end", "needs another {}.decay than constant", path);
  }
  if (spec.has_power()) {
    checker->Holds(path + ".power", spec.power(), spec.power() > 0.0 && spec.power() <= 100.0,
                   "0 < power <= 100");
    schedule->power = spec.power();
    if (spec.decay() != v1::ScheduleSpec::DECAY_POLYNOMIAL) {
      checker->Add(path + ".power", "needs {}.decay: polynomial", path);
    }
  }
  if (spec.has_factor()) {
    checker->Holds(path + ".factor", spec.factor(), spec.factor() > 0.0 && spec.factor() <= 1.0,
                   "0 < factor <= 1");
    schedule->factor = spec.factor();
    if (!HasFactor(schedule->decay)) {
      checker->Add(path + ".factor", "needs {}.decay: step, exponential or plateau", path);
    }
  }
  ReadPeriod(path, spec, schedule, checker);
  ReadPlateau(path, spec, schedule, checker);
}

void ReadWarmup(const std::string& path, const v1::ScheduleSpec& spec, int64_t steps,
                Schedule* schedule, SpecChecker* checker) {
  schedule->warmup_steps = spec.warmup_steps();
  schedule->start_warmup_step = spec.start_warmup_step();
  if (spec.has_warmup_fraction()) {
    const double fraction = spec.warmup_fraction();
    const bool fits = fraction >= 0.0 && fraction < 1.0;
    checker->Holds(path + ".warmup_fraction", fraction, fits,
                   "a share of the steps, 0 <= warmup_fraction < 1");
    if (spec.warmup_steps() != 0) {
      checker->Add(path + ".warmup_fraction", "stands beside {}.warmup_steps, expected one of them",
                   path);
    } else if (fits) {
      schedule->warmup_steps = static_cast<int64_t>(fraction * static_cast<double>(steps));
    }
  }
  const bool start_fits =
      checker->InRange(path + ".start_warmup_step", spec.start_warmup_step(), -kStepsMax, 0);
  const int64_t warmup = schedule->warmup_steps;
  if (checker->InRange(path + ".warmup_steps", warmup, 0, 2 * kStepsMax) && start_fits &&
      warmup + spec.start_warmup_step() >= steps && warmup > 0) {
    checker->Add(path + ".warmup_steps",
                 "is {}: the warm-up would end at step {}, expected before the last of {} steps",
                 warmup, warmup + spec.start_warmup_step(), steps);
  }
}

void ReadScaling(const std::string& path, const v1::ScheduleSpec& spec, Schedule* schedule,
                 SpecChecker* checker) {
  schedule->lr_scaling = spec.lr_scaling() == v1::ScheduleSpec::LR_SCALING_SQRT ? LrScaling::kSqrt
                         : spec.lr_scaling() == v1::ScheduleSpec::LR_SCALING_LINEAR
                             ? LrScaling::kLinear
                             : LrScaling::kNone;
  if (schedule->lr_scaling == LrScaling::kNone) {
    if (spec.base_batch() != 0) {
      checker->Add(path + ".base_batch", "needs {}.lr_scaling: sqrt or linear", path);
    }
    return;
  }
  if (spec.base_batch() == 0) {
    checker->Add(path + ".base_batch", "is missing: the batch for which {}.peak is meant", path);
    return;
  }
  checker->InRange(path + ".base_batch", spec.base_batch(), 1, kBaseBatchMax);
  schedule->base_batch = static_cast<double>(spec.base_batch());
}

}  // namespace

Schedule ReadSchedule(const std::string& path, const v1::ScheduleSpec& spec, int64_t steps,
                      int64_t batch, SpecChecker* checker) {
  const size_t violations = checker->violations().size();
  Schedule schedule;
  schedule.total_steps = steps;
  schedule.batch = batch;
  schedule.peak = spec.peak();
  if (spec.peak() == 0.0) {
    checker->Add(path + ".peak", "is missing: the highest learning rate, a number > 0");
  } else {
    checker->Holds(path + ".peak", spec.peak(), spec.peak() > 0.0 && spec.peak() <= kRateMax,
                   "a learning rate from 0 (not included) to 1e6");
  }
  ReadWarmup(path, spec, steps, &schedule, checker);
  ReadDecay(path, spec, &schedule, checker);
  ReadScaling(path, spec, &schedule, checker);
  const Status together = Validate(schedule);
  if (!together.ok() && checker->violations().size() == violations) {
    checker->Add(path, "{}", together.message());
  }
  return schedule;
}

void WriteSchedule(const Schedule& schedule, v1::ScheduleSpec* spec) {
  spec->set_warmup_steps(schedule.warmup_steps);
  spec->clear_warmup_fraction();
  if (spec->decay() == v1::ScheduleSpec::DECAY_POLYNOMIAL) spec->set_power(schedule.power);
  if (spec->decay() == v1::ScheduleSpec::DECAY_UNSPECIFIED) {
    spec->set_decay(v1::ScheduleSpec::DECAY_CONSTANT);
  }
  if (schedule.decay != Decay::kConstant && schedule.decay != Decay::kPlateau) {
    spec->set_decay_origin(schedule.decay_origin == DecayOrigin::kWarmupEnd
                               ? v1::ScheduleSpec::DECAY_ORIGIN_WARMUP_END
                               : v1::ScheduleSpec::DECAY_ORIGIN_STEP_ZERO);
  }
  if (HasFactor(schedule.decay)) spec->set_factor(schedule.factor);
  if (schedule.decay == Decay::kPlateau) {
    spec->set_patience(schedule.plateau.patience);
    spec->set_min_improvement(schedule.plateau.min_improvement);
  }
  if (schedule.lr_scaling == LrScaling::kNone) {
    spec->set_lr_scaling(v1::ScheduleSpec::LR_SCALING_NONE);
  }
}

}  // namespace drover
