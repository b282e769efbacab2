// A job for tests of the core, as small as jobs get. Pure.

#ifndef DROVER_TESTS_UNIT_SERVER_COORDINATOR_TOY_RECORD_H_
#define DROVER_TESTS_UNIT_SERVER_COORDINATOR_TOY_RECORD_H_

#include <cstdint>

#include "server/coordinator/job.h"
#include "server/optim/rule.h"

namespace drover {

// Three steps of 8 samples in 2 leaves, by AdamW.
inline JobRecord ToyRecord(uint64_t id) {
  JobRecord record;
  record.id = id;
  record.order = static_cast<int64_t>(id);
  PhasePlan phase;
  phase.steps = 3;
  phase.batch = 8;
  phase.leaves = 2;
  phase.micro_batch = 4;
  record.plan.name = "toy";
  record.plan.phases = {phase};
  record.plan.steps = 3;
  record.plan.fraction_bits = 40;
  record.plan.optimizer = DefaultSettings(Rule::kAdamW);
  return record;
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_COORDINATOR_TOY_RECORD_H_
