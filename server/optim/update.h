// One update of one block, the unit of partial norms and placement: at most 65,536 consecutive
// weights of one tensor. Knows nothing of steps, votes or the network. No state here, so any thread
// may update any block; nobody else may touch the arrays that a call writes.

#ifndef DROVER_SERVER_OPTIM_UPDATE_H_
#define DROVER_SERVER_OPTIM_UPDATE_H_

#include <cstddef>

#include "common/base/cpu_features.h"
#include "server/optim/elementwise.h"
#include "server/optim/rule.h"

namespace drover {

// Borrowed float32 arrays of `size` elements, valid during the call and not overlapping. Slots
// beyond the rule's count may be null. Measure ignores next_weight and does not write the slots.
// Fastest when all start at multiples of 64 bytes; any alignment of a float gives the same bits.
struct BlockView {
  size_t size;
  const float* weight;     // [size] Version t: others may be serving it, so it is never written.
  const float* gradient;   // [size] Mean over the global batch, before clipping.
  float* slot[kSlotsMax];  // [size] each. State of the rule, all zero before the first update.
  float* next_weight;      // [size] Version t+1.
};

// Sums of squares over one block, for the trust ratio. Added up in the order of
// common/tensor/square_sum.h, so that every build gives the same bits; the coordinator then adds
// blocks in their order.
struct BlockNorms {
  double weight;     // Of what the step is taken from: the weight, or the decayed weight.
  double direction;  // Of u; of the clipped gradient when the ratio scales that.
};

// Both passes of one rule, built for one instruction set.
struct CpuPasses {
  // Computes u for its norm and writes nothing: may run before COMMIT and again after a takeover.
  BlockNorms (*measure)(const StepScalars& s, const BlockView& block);

  // Computes u again, to the same bits, and writes the slots and next_weight = w - scale * u; with
  // RuleInfo::ratio_on_gradient, u of the scaled gradient and next_weight = w - u.
  // Not repeatable: it replaces the old slots, so run it once, after COMMIT.
  void (*apply)(const StepScalars& s, const BlockView& block, float scale);
};

// The fastest passes that this CPU can run.
CpuPasses CpuPassesFor(Rule rule);

// Those of one build; `isa` is one of RunnableIsas().
CpuPasses CpuPassesFor(Rule rule, Isa isa);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_UPDATE_H_
