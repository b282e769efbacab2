// Lookahead (Zhang et al. 2019, arXiv:1907.08610) around any rule: after every k-th applied update
// the slow weights move towards the weights, and the weights go back to them. The rule's own state
// is left alone. Pure functions over arrays, any thread.

#ifndef DROVER_SERVER_OPTIM_LOOKAHEAD_H_
#define DROVER_SERVER_OPTIM_LOOKAHEAD_H_

#include <cstdint>

#include "server/optim/lookahead_formula.h"
#include "server/optim/settings.h"
#include "server/optim/update.h"

namespace drover {

// Of applied update `applied`, counted from 1 since the job began, whatever its phases do. Nothing
// when the settings have no Lookahead.
LookaheadStep LookaheadStepOf(const OptimizerSettings& settings, int64_t applied);

// After CpuPasses::apply on the same block. `slow` [size] does not overlap the block's arrays. Run
// it once, as apply.
void ApplyLookahead(const LookaheadStep& step, const BlockView& block, float* slow);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_LOOKAHEAD_H_
