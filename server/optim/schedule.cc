#include "server/optim/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "common/base/check.h"

namespace drover {
namespace {

template <typename Value>
Status OutOfRange(std::string_view field, Value value, std::string_view expected) {
  return Status(Code::kInvalidArgument,
                fmt::format("schedule {} is {}, expected {}", field, value, expected));
}

// False for NaN.
bool IsRate(double value) { return value >= 0.0 && std::isfinite(value); }
bool IsPositive(double value) { return value > 0.0 && std::isfinite(value); }

// Steps of 2^53 and more would not be exact as double.
constexpr int64_t kStepsMax = int64_t{1} << 53;

double ScalingFactor(const Schedule& s) {
  switch (s.lr_scaling) {
    case LrScaling::kNone:
      return 1.0;
    case LrScaling::kSqrt:
      return std::sqrt(s.batch / s.base_batch);
    case LrScaling::kLinear:
      return s.batch / s.base_batch;
  }
  return 1.0;  // Not reached: the switch is complete.
}

double DecayedRate(const Schedule& s, int64_t step, int64_t warmup_end) {
  if (s.decay == Decay::kConstant) return s.peak;
  if (step >= s.total_steps) return s.end;
  const int64_t origin = s.decay_origin == DecayOrigin::kWarmupEnd ? warmup_end : 0;
  // 1 - x without cancellation.
  const double remaining =
      static_cast<double>(s.total_steps - step) / static_cast<double>(s.total_steps - origin);
  return s.end + (s.peak - s.end) * std::pow(remaining, s.power);
}

}  // namespace

Status Validate(const Schedule& s) {
  if (!IsRate(s.peak)) return OutOfRange("peak", s.peak, "a learning rate >= 0");
  if (!IsRate(s.end)) return OutOfRange("end", s.end, "a learning rate >= 0");
  if (s.warmup_steps < 0 || s.warmup_steps > kStepsMax) {
    return OutOfRange("warmup_steps", s.warmup_steps, "0 to 2^53");
  }
  if (s.start_warmup_step > 0 || s.start_warmup_step < -kStepsMax) {
    return OutOfRange("start_warmup_step", s.start_warmup_step, "0 or a negative step");
  }
  if (!IsPositive(s.power)) return OutOfRange("power", s.power, "a number > 0");
  if (s.decay == Decay::kPolynomial && (s.total_steps < 1 || s.total_steps > kStepsMax)) {
    return OutOfRange("total_steps", s.total_steps, "1 to 2^53 for a polynomial decay");
  }
  if (s.lr_scaling != LrScaling::kNone) {
    if (!IsPositive(s.base_batch)) {
      return OutOfRange("base_batch", s.base_batch, "a number of samples > 0 for lr_scaling");
    }
    if (!IsPositive(s.batch)) {
      return OutOfRange("batch", s.batch, "a number of samples > 0 for lr_scaling");
    }
  }
  return Status();
}

double LearningRate(const Schedule& s, int64_t step) {
  DROVER_CHECK(step >= 0);
  const double factor = ScalingFactor(s);
  const int64_t warmup_end = std::max<int64_t>(0, s.start_warmup_step + s.warmup_steps);
  if (step < warmup_end) {
    const double done = static_cast<double>(step + 1 - s.start_warmup_step);
    return factor * (s.peak * done / static_cast<double>(s.warmup_steps));
  }
  return factor * DecayedRate(s, step, warmup_end);
}

}  // namespace drover
