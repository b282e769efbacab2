// From a row of the rule table to its function: the only place that knows both. `static inline` for
// the reason of elementwise.h. No state, any thread.

#ifndef DROVER_SERVER_OPTIM_DIRECTION_H_
#define DROVER_SERVER_OPTIM_DIRECTION_H_

#include "server/optim/elementwise.h"
#include "server/optim/rule.h"

namespace drover {

template <Rule kRule, typename Real>
DROVER_HOST_DEVICE static inline Real Direction(const StepScalarsOf<Real>& s, ElementOf<Real>& e) {
  if constexpr (kRule == Rule::kSgd) return SgdDirection(s, e);
  if constexpr (kRule == Rule::kMomentum) return MomentumDirection(s, e);
  if constexpr (kRule == Rule::kMomentumClassic) return ClassicMomentumDirection(s, e);
  if constexpr (kRule == Rule::kNag) return NagDirection(s, e);
  if constexpr (kRule == Rule::kNagClassic) return ClassicNagDirection(s, e);
  if constexpr (kRule == Rule::kAdagrad) return MeanSquareDirection(s, e);
  if constexpr (kRule == Rule::kRmsProp) return MeanSquareDirection(s, e);
  if constexpr (kRule == Rule::kRmsPropMomentum) return RmsPropDirection<false, true>(s, e);
  if constexpr (kRule == Rule::kRmsPropCentered) return RmsPropDirection<true, false>(s, e);
  if constexpr (kRule == Rule::kRmsPropCenteredMomentum) return RmsPropDirection<true, true>(s, e);
  if constexpr (kRule == Rule::kAdam) return AdamDirection(s, e);
  if constexpr (kRule == Rule::kAdamW) return AdamWDirection(s, e);
  if constexpr (kRule == Rule::kAmsGrad) return AmsGradDirection(s, e);
  if constexpr (kRule == Rule::kAmsGradW) return AmsGradWDirection(s, e);
  if constexpr (kRule == Rule::kRAdam) return RAdamDirection(s, e);
  if constexpr (kRule == Rule::kNAdam) return NAdamDirection(s, e);
  if constexpr (kRule == Rule::kLion) return LionDirection(s, e);
  if constexpr (kRule == Rule::kAdaBound) return AdaBoundDirection(s, e);
  if constexpr (kRule == Rule::kLamb) return LambDirection(s, e);
  if constexpr (kRule == Rule::kLars) return LarsDirection(s, e);
}

// What the second norm of the trust ratio is taken of.
template <Rule kRule, typename Real>
DROVER_HOST_DEVICE static inline Real MeasuredDirection(const StepScalarsOf<Real>& s,
                                                        ElementOf<Real>& e) {
  if constexpr (InfoOf(kRule).ratio_on_gradient) return e.g;
  return Direction<kRule>(s, e);
}

// UpdateScale comes in through the gradient and its decay, or else through the step: the constants
// of a tensor, and the factor on its direction.
template <Rule kRule, typename Real>
DROVER_HOST_DEVICE static inline StepScalarsOf<Real> ScalarsWithScale(StepScalarsOf<Real> s,
                                                                      Real scale) {
  if constexpr (InfoOf(kRule).ratio_on_gradient) {
    s.clip = s.clip * scale;
    s.decay_l2 = s.decay_l2 * scale;
  }
  return s;
}
template <Rule kRule, typename Real>
DROVER_HOST_DEVICE static inline Real StepFactor(Real scale) {
  if constexpr (InfoOf(kRule).ratio_on_gradient) return Real(1);
  return scale;
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_DIRECTION_H_
