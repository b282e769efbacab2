// The formulas of the trust ratio and of the scale of a step, over plain numbers: one source for
// the coordinator and for a GPU that has all norms of a tensor itself, so that they cannot differ.
// What the numbers mean is said in settings.h; trust_ratio.h and step_scalars.h make them from
// settings. All in double, whose division and root are rounded alike everywhere. Pure.

#ifndef DROVER_SERVER_OPTIM_TRUST_RATIO_FORMULA_H_
#define DROVER_SERVER_OPTIM_TRUST_RATIO_FORMULA_H_

#include "server/optim/elementwise.h"

namespace drover {

// Why a ratio is not just |w| / |u|. kMin and kMax: a limit on |w| or on the ratio took effect.
enum class RatioLimit { kNone, kMin, kMax, kZeroNorm };

struct TrustRatio {
  double ratio = 1.0;
  RatioLimit limit = RatioLimit::kNone;
};

// Of one parameter group.
struct TrustRatioTerms {
  bool adapt = false;  // Else the ratio is 1.
  bool lars = false;   // Else the first formula below.
  double phi_min = 0.0, phi_max = 0.0;
  double ratio_min = 0.0, ratio_max = 0.0, ratio_eps = 0.0;
  double trust_coefficient = 0.0, weight_decay = 0.0, eps = 0.0;  // LARS.
};

// Of one parameter group and update: UpdateScale without the ratio. Parts that a rule does not have
// are 1.
struct UpdateScaleTerms {
  double rate = 1.0;        // Learning rate of the group, unless the direction holds it.
  double divisor = 1.0;     // Adagrad's own decay.
  double correction = 1.0;  // BiasCorrection::kInLr.
};

// A value and the limit that it met, if any.
DROVER_HOST_DEVICE static inline double ClampRatio(double value, double min, double max,
                                                   RatioLimit& limit) {
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

// LAMB: clamp(clamp(|w|, phi_min, phi_max) / (|u| + ratio_eps), ratio_min, ratio_max).
// LARS: trust_coefficient * |w| / (|g| + weight_decay * |w| + eps).
DROVER_HOST_DEVICE static inline TrustRatio TrustRatioOf(const TrustRatioTerms& terms,
                                                         double weight_norm,
                                                         double direction_norm) {
  TrustRatio result;
  if (!terms.adapt) return result;
  if (weight_norm == 0.0 || direction_norm == 0.0) {
    result.limit = RatioLimit::kZeroNorm;
    return result;
  }
  if (terms.lars) {
    result.ratio = terms.trust_coefficient * weight_norm /
                   (direction_norm + terms.weight_decay * weight_norm + terms.eps);
    return result;
  }
  const double phi = ClampRatio(weight_norm, terms.phi_min, terms.phi_max, result.limit);
  result.ratio = ClampRatio(phi / (direction_norm + terms.ratio_eps), terms.ratio_min,
                            terms.ratio_max, result.limit);
  return result;
}

DROVER_HOST_DEVICE static inline double UpdateScaleOf(const UpdateScaleTerms& terms,
                                                      double trust_ratio) {
  return terms.rate * trust_ratio / terms.divisor * terms.correction;
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_TRUST_RATIO_FORMULA_H_
