#include "server/optim/trust_ratio.h"

namespace drover {
namespace {

double Clamp(double value, double min, double max, RatioLimit& limit) {
  if (value < min) {
    limit = RatioLimit::kMin;
    return min;
  }
  if (value > max) {
    limit = RatioLimit::kMax;
    return max;
  }
  return value;
}

}  // namespace

TrustRatio ComputeTrustRatio(const OptimizerSettings& settings, const GroupSettings& group,
                             double weight_norm, double direction_norm) {
  if (!group.adapt) return {1.0, RatioLimit::kNone};
  if (weight_norm == 0.0 || direction_norm == 0.0) return {1.0, RatioLimit::kZeroNorm};
  if (settings.rule == Rule::kLars) {
    const double decay = WeightDecayOf(settings, group);
    return {settings.trust_coefficient * weight_norm /
                (direction_norm + decay * weight_norm + settings.eps),
            RatioLimit::kNone};
  }
  RatioLimit limit = RatioLimit::kNone;
  const double phi = Clamp(weight_norm, settings.phi_min, settings.phi_max, limit);
  const double ratio = phi / (direction_norm + settings.ratio_eps);
  return {Clamp(ratio, settings.ratio_min, settings.ratio_max, limit), limit};
}

const char* RatioLimitName(RatioLimit limit) {
  switch (limit) {
    case RatioLimit::kNone:
      return "none";
    case RatioLimit::kMin:
      return "min";
    case RatioLimit::kMax:
      return "max";
    case RatioLimit::kZeroNorm:
      return "zero_norm";
  }
  return "unknown";
}

}  // namespace drover
