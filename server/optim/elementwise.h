// The mathematics of every update rule, one weight at a time. One source for plain x86-64, AVX2,
// AVX-512 and CUDA with the same bits from all of them; written for a scalar type so that the known
// answers can be checked in double too. `static inline` on purpose: each object keeps its own copy,
// so the linker cannot hand AVX-512 code to a machine that lacks it. No state, any thread.
//
// A direction takes one Element, leaves the new state in its slots and returns u. The caller then
// takes w - scale * u, where scale is the learning rate times the trust ratio, if the rule has one
// (UpdateScale in step_scalars.h). Equations: docs/optimizers.md.
//
// w weight, g gradient, m and v first and second moment, u direction.

#ifndef DROVER_SERVER_OPTIM_ELEMENTWISE_H_
#define DROVER_SERVER_OPTIM_ELEMENTWISE_H_

#include <math.h>

#ifdef __CUDACC__
#define DROVER_HOST_DEVICE __host__ __device__
#else
#define DROVER_HOST_DEVICE
#endif

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

// Moves both moments on by g and returns the corrected m over the root of the corrected v.
template <typename Real>
DROVER_HOST_DEVICE static inline Real AdaptiveMoment(const StepScalarsOf<Real>& s, Real g,
                                                     ElementOf<Real>& e) {
  e.slot0 = s.keep1 * e.slot0 + s.gain1 * g;
  e.slot1 = s.keep2 * e.slot1 + s.gain2 * (g * g);
  const Real m = e.slot0 * s.inv_bias1;
  const Real v = e.slot1 * s.inv_bias2;
  return m / (SquareRoot(v + s.eps_inside) + s.eps_outside);
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

// You et al., 2019, in all dialects of docs/optimizers.md. The caller scales it by the trust ratio.
template <typename Real>
DROVER_HOST_DEVICE static inline Real LambDirection(const StepScalarsOf<Real>& s,
                                                    ElementOf<Real>& e) {
  const Real g = e.g + s.decay_l2 * e.w;
  e.w = e.w - s.decay_before * e.w;
  return AdaptiveMoment(s, g, e) + s.decay_in_update * e.w;
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_ELEMENTWISE_H_
