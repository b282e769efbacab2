// The mathematics of every update rule, one weight at a time. One source for plain x86-64, AVX2,
// AVX-512 and CUDA with the same bits from all of them; written for a scalar type so that the known
// answers can be checked in double too. `static inline` on purpose: each object keeps its own copy,
// so the linker cannot hand AVX-512 code to a machine that lacks it. No state, any thread.
//
// A direction takes one Element, leaves the new state in its slots and returns u. The caller then
// takes w - scale * u, where scale is the learning rate times the trust ratio, if the rule has one
// (UpdateScale in step_scalars.h; ScalarsWithScale in direction.h when the ratio scales the
// gradient). Equations: docs/optimizers.md.
//
// w weight, g gradient, m and v first and second moment, u direction.

#ifndef DROVER_SERVER_OPTIM_ELEMENTWISE_H_
#define DROVER_SERVER_OPTIM_ELEMENTWISE_H_

#include <math.h>

#include "common/base/host_device.h"

namespace drover {

// Constants of one update and one parameter group, computed in double on one host and rounded once.
// What a dialect does not have is a zero here and not a branch in the loop. Every field is a Real;
// kStepScalarFields in step_scalars.h lists them in this order.
template <typename Real>
struct StepScalarsOf {
  Real clip;         // Factor on g from the norm of the whole gradient; 1 when nothing is clipped.
  Real keep1;        // Share of the first moment that is kept: beta1, or the momentum.
  Real gain1;        // Share of g that enters it. A field, as 1 - 0.999f would be 1.3e-5 off.
  Real keep2;        // The same for the second moment: beta2 ...
  Real gain2;        // ... and 1 - beta2.
  Real inv_bias1;    // 1 / (1 - beta1^n), n applied updates counted from 1; or 1.
  Real inv_bias2;    // 1 / (1 - beta2^n), or 1.
  Real eps_outside;  // Added to the root of v,
  Real eps_inside;   // or to v below the root; the other one is 0.
  // Weight decay, at most one of the three is not 0:
  Real decay_l2;         // lambda, g + lambda w before the moments.
  Real decay_in_update;  // lambda, u + lambda w.
  Real decay_before;     // learning rate * lambda, w - decay w before everything else.
  // Of single rules, else 0:
  Real direct;     // RAdam: share of the plain moment. NAdam, LARS: of the gradient.
  Real rectified;  // RAdam, NAdam: share of the moment over the root. AdaBound: step before bounds.
                   // LARS: of the momentum.
  Real bound_low;  // AdaBound: the step per moment is kept between these two.
  Real bound_high;
};

template <typename Real>
struct ElementOf {
  Real w;  // In: weight. Out: what the step is taken from (less by decay_before, else the same).
  Real g;  // Mean over the global batch, clipped.
  Real slot0;  // m, or the momentum buffer.
  Real slot1;  // v.
  Real slot2;
};

using StepScalars = StepScalarsOf<float>;
using Element = ElementOf<float>;

// IEEE roots of either width.
DROVER_HOST_DEVICE static inline float SquareRoot(float x) { return sqrtf(x); }
DROVER_HOST_DEVICE static inline double SquareRoot(double x) { return sqrt(x); }

// Moves both moments on by g.
template <typename Real>
DROVER_HOST_DEVICE static inline void AdvanceMoments(const StepScalarsOf<Real>& s, Real g,
                                                     ElementOf<Real>& e) {
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  e.slot1 = s.keep2 * e.slot1 + s.gain2 * (g * g);
}

// The corrected m over the root of the corrected v.
template <typename Real>
DROVER_HOST_DEVICE static inline Real MomentOverRoot(const StepScalarsOf<Real>& s,
                                                     const ElementOf<Real>& e) {
  const Real m = e.slot0 * s.inv_bias1;
  const Real v = e.slot1 * s.inv_bias2;
  return m / (SquareRoot(v + s.eps_inside) + s.eps_outside);
}

template <typename Real>
DROVER_HOST_DEVICE static inline Real AdaptiveMoment(const StepScalarsOf<Real>& s, Real g,
                                                     ElementOf<Real>& e) {
  AdvanceMoments(s, g, e);
  return MomentOverRoot(s, e);
}

// Plain gradient descent with L2 decay.
template <typename Real>
DROVER_HOST_DEVICE static inline Real SgdDirection(const StepScalarsOf<Real>& s,
                                                   ElementOf<Real>& e) {
  return e.g + s.decay_l2 * e.w;
}

// Heavy ball as in PyTorch: the learning rate stays outside the buffer, the first update copies g
// (gain1 is 1 then) and later ones are dampened.
template <typename Real>
DROVER_HOST_DEVICE static inline Real MomentumDirection(const StepScalarsOf<Real>& s,
                                                        ElementOf<Real>& e) {
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * (e.g + s.decay_l2 * e.w);
  return e.slot0;
}

// Heavy ball as Polyak wrote it in 1964: the learning rate (gain1) inside the buffer, so that a
// change of the rate takes its time.
template <typename Real>
DROVER_HOST_DEVICE static inline Real ClassicMomentumDirection(const StepScalarsOf<Real>& s,
                                                               ElementOf<Real>& e) {
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * e.g;
  return e.slot0;
}

// Nesterov as in PyTorch (Sutskever et al., 2013, as rewritten there): one more step of the buffer.
template <typename Real>
DROVER_HOST_DEVICE static inline Real NagDirection(const StepScalarsOf<Real>& s,
                                                   ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  return g + s.keep1 * e.slot0;
}

// Nesterov, 1983, with the gradient taken at the look-ahead point. The weight that is held and
// published *is* that point, x = p - mu b (Bengio et al. 2013, arXiv:1212.0901, section 3.5), so
// that b' = mu b + lr g and p' = p - b' become x' = x - (b' + mu (b' - b)).
template <typename Real>
DROVER_HOST_DEVICE static inline Real ClassicNagDirection(const StepScalarsOf<Real>& s,
                                                          ElementOf<Real>& e) {
  const Real before = e.slot0;
  e.slot0 = s.keep1 * before + s.gain1 * e.g;
  return e.slot0 + s.keep1 * (e.slot0 - before);
}

// Adagrad (Duchi et al., 2011): squares add up, keep2 and gain2 are 1, eps_inside is what the sum
// begins at. RMSProp (Hinton, 2012): their moving average.
template <typename Real>
DROVER_HOST_DEVICE static inline Real MeanSquareDirection(const StepScalarsOf<Real>& s,
                                                          ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.slot0 = s.keep2 * e.slot0 + s.gain2 * (g * g);
  return g / (SquareRoot(e.slot0 + s.eps_inside) + s.eps_outside);
}

// RMSProp, centred: by the variance about the moving average of g (Graves, 2013,
// arXiv:1308.0850, eq. 38 to 40), and with momentum behind it, both as in PyTorch.
template <bool kCentered, bool kMomentum, typename Real>
DROVER_HOST_DEVICE static inline Real RmsPropDirection(const StepScalarsOf<Real>& s,
                                                       ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.slot0 = s.keep2 * e.slot0 + s.gain2 * (g * g);
  Real variance = e.slot0;
  if constexpr (kCentered) {
    e.slot1 = s.keep2 * e.slot1 + s.gain2 * g;
    variance = variance - e.slot1 * e.slot1;
    variance = variance > Real(0) ? variance : Real(0);  // Below 0 by rounding only.
  }
  const Real u = g / (SquareRoot(variance) + s.eps_outside);
  if constexpr (!kMomentum) return u;
  Real& buffer = kCentered ? e.slot2 : e.slot1;
  buffer = s.keep1 * buffer + u;
  return buffer;
}

// Kingma and Ba, 2014, with L2 decay.
template <typename Real>
DROVER_HOST_DEVICE static inline Real AdamDirection(const StepScalarsOf<Real>& s,
                                                    ElementOf<Real>& e) {
  return AdaptiveMoment(s, e.g + s.decay_l2 * e.w, e);
}

// Loshchilov and Hutter, 2017. Shrinking w by 1 - lr lambda first, as PyTorch does, is the same
// real number; but 1 - 1e-5 in float32 would put the decay itself off by up to 0.3 %.
template <typename Real>
DROVER_HOST_DEVICE static inline Real AdamWDirection(const StepScalarsOf<Real>& s,
                                                     ElementOf<Real>& e) {
  return AdaptiveMoment(s, e.g, e) + s.decay_in_update * e.w;
}

// Reddi et al., 2018: by the largest second moment so far, before its correction.
template <typename Real>
DROVER_HOST_DEVICE static inline Real LargestMoment(const StepScalarsOf<Real>& s, Real g,
                                                    ElementOf<Real>& e) {
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  e.slot1 = s.keep2 * e.slot1 + s.gain2 * (g * g);
  e.slot2 = e.slot1 > e.slot2 ? e.slot1 : e.slot2;
  return e.slot0 * s.inv_bias1 / (SquareRoot(e.slot2 * s.inv_bias2) + s.eps_outside);
}

template <typename Real>
DROVER_HOST_DEVICE static inline Real AmsGradDirection(const StepScalarsOf<Real>& s,
                                                       ElementOf<Real>& e) {
  return LargestMoment(s, e.g + s.decay_l2 * e.w, e);
}

template <typename Real>
DROVER_HOST_DEVICE static inline Real AmsGradWDirection(const StepScalarsOf<Real>& s,
                                                        ElementOf<Real>& e) {
  return LargestMoment(s, e.g, e) + s.decay_in_update * e.w;
}

// Liu et al., 2020: the plain moment until the variance of v can be trusted, then rectified.
template <typename Real>
DROVER_HOST_DEVICE static inline Real RAdamDirection(const StepScalarsOf<Real>& s,
                                                     ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  e.slot1 = s.keep2 * e.slot1 + s.gain2 * (g * g);
  return e.slot0 * s.inv_bias1 * (s.direct + s.rectified / (SquareRoot(e.slot1) + s.eps_outside));
}

// Dozat, 2016, with the momentum schedule of PyTorch.
template <typename Real>
DROVER_HOST_DEVICE static inline Real NAdamDirection(const StepScalarsOf<Real>& s,
                                                     ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  e.slot1 = s.keep2 * e.slot1 + s.gain2 * (g * g);
  return (s.direct * g + s.rectified * e.slot0) /
         (SquareRoot(e.slot1 * s.inv_bias2) + s.eps_outside);
}

// Chen et al., 2023: the sign of an interpolation, decoupled decay. The sign of zero is zero.
template <typename Real>
DROVER_HOST_DEVICE static inline Real LionDirection(const StepScalarsOf<Real>& s,
                                                    ElementOf<Real>& e) {
  const Real c = s.keep1 * e.slot0 + s.gain1 * e.g;
  e.slot0 = s.keep2 * e.slot0 + s.gain2 * e.g;
  const Real sign = c > Real(0) ? Real(1) : c < Real(0) ? Real(-1) : Real(0);
  return sign + s.decay_in_update * e.w;
}

// Luo et al., 2019: Adam's step per moment, kept between bounds that close in on SGD's.
template <typename Real>
DROVER_HOST_DEVICE static inline Real AdaBoundDirection(const StepScalarsOf<Real>& s,
                                                        ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  e.slot1 = s.keep2 * e.slot1 + s.gain2 * (g * g);
  Real step = s.rectified / (SquareRoot(e.slot1) + s.eps_outside);
  step = step > s.bound_low ? step : s.bound_low;
  step = step < s.bound_high ? step : s.bound_high;
  return step * e.slot0;
}

// LAMB's u once more, for a second pass that finds the moments moved on already.
template <typename Real>
DROVER_HOST_DEVICE static inline Real LambDirectionAfter(const StepScalarsOf<Real>& s,
                                                         ElementOf<Real>& e) {
  e.w = e.w - s.decay_before * e.w;
  return MomentOverRoot(s, e) + s.decay_in_update * e.w;
}

// You et al., 2019, in all dialects of docs/optimizers.md. The caller scales it by the trust ratio.
template <typename Real>
DROVER_HOST_DEVICE static inline Real LambDirection(const StepScalarsOf<Real>& s,
                                                    ElementOf<Real>& e) {
  AdvanceMoments(s, e.g + s.decay_l2 * e.w, e);
  return LambDirectionAfter(s, e);
}

// You et al., 2017, arXiv:1708.03888: heavy ball or Nesterov over gradients that are scaled tensor
// by tensor; clip and decay_l2 hold the ratio already, direct and rectified the learning rate.
template <typename Real>
DROVER_HOST_DEVICE static inline Real LarsDirection(const StepScalarsOf<Real>& s,
                                                    ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  return s.direct * g + s.rectified * e.slot0;
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_ELEMENTWISE_H_
