#include "server/optim/lookahead.h"

#include <algorithm>

namespace drover {

LookaheadStep LookaheadStepOf(const OptimizerSettings& settings, int64_t applied) {
  LookaheadStep step;
  if (settings.lookahead_every == 0) return step;
  step.begin = applied == 1;
  step.sync = applied % settings.lookahead_every == 0;
  step.keep = static_cast<float>(1.0 - settings.lookahead_alpha);
  step.gain = static_cast<float>(settings.lookahead_alpha);
  if (settings.rule == Rule::kNagClassic) step.ahead = static_cast<float>(settings.momentum);
  return step;
}

void ApplyLookahead(const LookaheadStep& step, const BlockView& block, float* slow) {
  // Before the first update all state is 0, so the weight held is p in every rule.
  if (step.begin) std::copy_n(block.weight, block.size, slow);
  if (!step.sync) return;
  if (step.ahead == 0.0f) {
    for (size_t i = 0; i < block.size; ++i) {
      SyncLookahead(step, block.next_weight[i], slow[i]);
    }
    return;
  }
  for (size_t i = 0; i < block.size; ++i) {
    SyncLookaheadAhead(step, block.slot[0][i], block.next_weight[i], slow[i]);
  }
}

}  // namespace drover
