// Lookahead (Zhang et al. 2019, arXiv:1907.08610) around any rule: after every k-th applied update
// the slow weights move towards the weights, and the weights go back to them. The rule's own state
// is left alone. Pure functions over arrays, any thread.

#ifndef DROVER_SERVER_OPTIM_LOOKAHEAD_H_
#define DROVER_SERVER_OPTIM_LOOKAHEAD_H_

#include <cstdint>

#include "server/optim/settings.h"
#include "server/optim/update.h"

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

// Of applied update `applied`, counted from 1 since the job began, whatever its phases do. Nothing
// when the settings have no Lookahead.
LookaheadStep LookaheadStepOf(const OptimizerSettings& settings, int64_t applied);

// The new slow weight.
template <typename Real>
Real SlowWeight(Real keep, Real gain, Real slow, Real weight) {
  return keep * slow + gain * weight;
}

// After CpuPasses::apply on the same block. `slow` [size] does not overlap the block's arrays. Run
// it once, as apply.
void ApplyLookahead(const LookaheadStep& step, const BlockView& block, float* slow);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_LOOKAHEAD_H_
