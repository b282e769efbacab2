// The phases of a job and the learning rates at the corners of their schedules, as a table. Pure.

#ifndef DROVER_SERVER_CLI_SCHEDULE_VIEW_H_
#define DROVER_SERVER_CLI_SCHEDULE_VIEW_H_

#include <cstdint>
#include <string>

#include "proto/drover/v1/job.pb.h"

namespace drover {

// PHASE STEPS BATCH LEAVES DECAY FIRST WARM MIDDLE LAST: rates as "RATE @ STEP", steps counted over
// the whole job, as if none were skipped. "-" for a rate that no step alone decides: with plateau
// and every_passes it needs evaluations or the size of the dataset. Empty for a spec with errors.
std::string ScheduleTable(const v1::JobSpec& spec, bool color);

// Samples of the first `steps` steps; 0 for a spec with errors.
int64_t SamplesOf(const v1::JobSpec& spec, int64_t steps);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_SCHEDULE_VIEW_H_
