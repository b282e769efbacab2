// The formulas of Lookahead, one weight at a time, for CPU and GPU; see lookahead.h. Pure.

#ifndef DROVER_SERVER_OPTIM_LOOKAHEAD_FORMULA_H_
#define DROVER_SERVER_OPTIM_LOOKAHEAD_FORMULA_H_

#include "server/optim/elementwise.h"

namespace drover {

// What Lookahead does after one update, the same for all tensors. In most updates nothing.
struct LookaheadStep {
  bool begin = false;  // The slow weights begin as the weights before this update.
  bool sync = false;   // slow <- keep slow + gain p, p <- slow.
  float keep = 0.0f;   // 1 - alpha
  float gain = 0.0f;   // alpha. With 1 and 0 in these two, p or slow is kept to the bit.
  // The weight that is held is p - ahead * slot 0: the momentum of nag_classic, else 0.
  float ahead = 0.0f;

  friend bool operator==(const LookaheadStep&, const LookaheadStep&) = default;
};

// The new slow weight.
template <typename Real>
DROVER_HOST_DEVICE static inline Real SlowWeight(Real keep, Real gain, Real slow, Real weight) {
  return keep * slow + gain * weight;
}

// Of an update with step.ahead == 0, ...
DROVER_HOST_DEVICE static inline void SyncLookahead(const LookaheadStep& step, float& next_weight,
                                                    float& slow) {
  slow = SlowWeight(step.keep, step.gain, slow, next_weight);
  next_weight = slow;
}

// ... and of one where the weight held runs ahead by `momentum` (slot 0).
DROVER_HOST_DEVICE static inline void SyncLookaheadAhead(const LookaheadStep& step, float momentum,
                                                         float& next_weight, float& slow) {
  const float weight = next_weight + step.ahead * momentum;
  slow = SlowWeight(step.keep, step.gain, slow, weight);
  next_weight += slow - weight;  // 0 to the bit with alpha 1.
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_LOOKAHEAD_FORMULA_H_
