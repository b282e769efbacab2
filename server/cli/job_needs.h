// How much memory a job takes, as far as its file tells: the arithmetic of docs/operations.md,
// section Capacity. Pure; thread-safe: functions only.

#ifndef DROVER_SERVER_CLI_JOB_NEEDS_H_
#define DROVER_SERVER_CLI_JOB_NEEDS_H_

#include <cstdint>

#include "proto/drover/v1/job.pb.h"
#include "server/cli/doctor_facts.h"
#include "server/job_plan.h"

namespace drover {

struct ModelSize {
  int64_t parameters = 0;    // 0: only a worker can tell.
  int64_t sample_bytes = 0;  // Activations of one sample and their gradients, float32, about.
};

// Of `model` on 28x28 pictures of ten classes, or on text with `vocabulary` tokens. `spec` has
// every default written out. Networks of one's own (model.layers) are not counted.
ModelSize SizeOf(const v1::JobSpec& spec, int64_t vocabulary);

// Without the parts about files: problem and data_problem stay empty. `lanes`: of this machine.
JobNeeds NeedsOf(const v1::JobSpec& spec, const JobPlan& plan, int64_t vocabulary, int64_t lanes);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_JOB_NEEDS_H_
