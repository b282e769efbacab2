#include "server/optim/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "common/base/check.h"
#include "common/base/exact_math.h"

namespace drover {
namespace {

template <typename Value>
Status OutOfRange(std::string_view field, Value value, std::string_view expected) {
  return Status(Code::kInvalidArgument,
                fmt::format("schedule {} is {}, expected {}", field, value, expected));
}

// False for NaN.
bool IsRate(double value) { return value >= 0.0 && std::isfinite(value); }
bool IsPositiveAndFinite(double value) { return value > 0.0 && std::isfinite(value); }

// Steps of 2^53 and more would not be exact as double.
constexpr int64_t kStepsMax = int64_t{1} << 53;

double ScalingFactor(const Schedule& s) {
  switch (s.lr_scaling) {
    case LrScaling::kNone:
      return 1.0;
    case LrScaling::kSqrt:
      return std::sqrt(static_cast<double>(s.batch) / s.base_batch);
    case LrScaling::kLinear:
      return static_cast<double>(s.batch) / s.base_batch;
  }
  return 1.0;  // Not reached: the switch is complete.
}

// Periods since the origin, whole and as a real number.
struct Periods {
  int64_t whole;
  double real;
};

Periods PeriodsAt(const Schedule& s, const SchedulePoint& at, int64_t origin) {
  const int64_t steps = at.step - origin;
  if (s.every_steps > 0) {
    return {steps / s.every_steps, static_cast<double>(steps) / static_cast<double>(s.every_steps)};
  }
  const int64_t train_samples = std::max<int64_t>(at.train_samples, 1);
  const int64_t samples = steps * s.batch;
  const double passes = static_cast<double>(samples) / static_cast<double>(train_samples);
  return {samples / train_samples / s.every_passes, passes / static_cast<double>(s.every_passes)};
}

// From 1 at the origin to 0 at total_steps and after, without cancellation.
double Remaining(const Schedule& s, int64_t step, int64_t origin) {
  if (step >= s.total_steps) return 0.0;
  return static_cast<double>(s.total_steps - step) / static_cast<double>(s.total_steps - origin);
}

double DecayedRate(const Schedule& s, const SchedulePoint& at, int64_t warmup_end) {
  const int64_t origin = s.decay_origin == DecayOrigin::kWarmupEnd ? warmup_end : 0;
  switch (s.decay) {
    case Decay::kConstant:
      return s.peak;
    case Decay::kPolynomial:
      if (at.step >= s.total_steps) return s.end;
      return s.end + (s.peak - s.end) * ExactPower(Remaining(s, at.step, origin), s.power);
    case Decay::kCosine: {
      const double x = 1.0 - Remaining(s, at.step, origin);
      return s.end + (s.peak - s.end) * (1.0 + ExactCos(std::numbers::pi * x)) / 2.0;
    }
    case Decay::kStep:
      return std::max(s.end, s.peak * ExactPower(s.factor, PeriodsAt(s, at, origin).whole));
    case Decay::kExponential:
      return std::max(s.end, s.peak * ExactPower(s.factor, PeriodsAt(s, at, origin).real));
    case Decay::kInverseTime:
      return std::max(s.end, s.peak / (1.0 + PeriodsAt(s, at, origin).real));
    case Decay::kInverseSqrt:
      return std::max(s.end, s.peak / std::sqrt(1.0 + PeriodsAt(s, at, origin).real));
    case Decay::kPlateau:
      return std::max(s.end, s.peak * ExactPower(s.factor, at.reductions));
  }
  return s.peak;  // Not reached: the switch is complete.
}

Status CheckDecay(const Schedule& s) {
  if (!IsPositiveAndFinite(s.power)) return OutOfRange("power", s.power, "a number > 0");
  if (ReachesTotalSteps(s.decay) && (s.total_steps < 1 || s.total_steps > kStepsMax)) {
    return OutOfRange("total_steps", s.total_steps, "1 to 2^53 for this decay");
  }
  if (!(s.factor > 0.0 && s.factor <= 1.0)) return OutOfRange("factor", s.factor, "0 < . <= 1");
  if (s.every_steps < 0 || s.every_passes < 0 ||
      (HasPeriod(s.decay) && (s.every_steps > 0) == (s.every_passes > 0))) {
    return Status(Code::kInvalidArgument,
                  fmt::format("schedule every_steps is {} and every_passes is {}, expected one of "
                              "them > 0",
                              s.every_steps, s.every_passes));
  }
  if (s.plateau.patience < 0) {
    return OutOfRange("patience", s.plateau.patience, "0 evaluations or more");
  }
  if (!(s.plateau.min_improvement >= 0.0 && s.plateau.min_improvement < 1.0)) {
    return OutOfRange("min_improvement", s.plateau.min_improvement, "0 <= . < 1");
  }
  return Status();
}

}  // namespace

bool HasPeriod(Decay decay) {
  return decay == Decay::kStep || decay == Decay::kExponential || decay == Decay::kInverseTime ||
         decay == Decay::kInverseSqrt;
}

bool HasFactor(Decay decay) {
  return decay == Decay::kStep || decay == Decay::kExponential || decay == Decay::kPlateau;
}

bool ReachesTotalSteps(Decay decay) {
  return decay == Decay::kPolynomial || decay == Decay::kCosine;
}

Status Validate(const Schedule& s) {
  if (!IsRate(s.peak)) return OutOfRange("peak", s.peak, "a learning rate >= 0");
  if (!IsRate(s.end)) return OutOfRange("end", s.end, "a learning rate >= 0");
  if (s.warmup_steps < 0 || s.warmup_steps > kStepsMax) {
    return OutOfRange("warmup_steps", s.warmup_steps, "0 to 2^53");
  }
  if (s.start_warmup_step > 0 || s.start_warmup_step < -kStepsMax) {
    return OutOfRange("start_warmup_step", s.start_warmup_step, "0 or a negative step");
  }
  DROVER_RETURN_IF_ERROR(CheckDecay(s));
  if (s.lr_scaling != LrScaling::kNone) {
    if (!IsPositiveAndFinite(s.base_batch)) {
      return OutOfRange("base_batch", s.base_batch, "a number of samples > 0 for lr_scaling");
    }
  }
  if ((s.lr_scaling != LrScaling::kNone || s.every_passes > 0) && s.batch < 1) {
    return OutOfRange("batch", s.batch, "a number of samples > 0");
  }
  return Status();
}

double HighestRate(const Schedule& s) { return ScalingFactor(s) * s.peak; }

double LearningRate(const Schedule& s, const SchedulePoint& at) {
  DROVER_CHECK(at.step >= 0);
  const double factor = ScalingFactor(s);
  const int64_t warmup_end = std::max<int64_t>(0, s.start_warmup_step + s.warmup_steps);
  if (at.step < warmup_end) {
    const double done = static_cast<double>(at.step + 1 - s.start_warmup_step);
    return factor * (s.peak * done / static_cast<double>(s.warmup_steps));
  }
  return factor * DecayedRate(s, at, warmup_end);
}

}  // namespace drover
