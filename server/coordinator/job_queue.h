// Which job starts next. Pure.

#ifndef DROVER_SERVER_COORDINATOR_JOB_QUEUE_H_
#define DROVER_SERVER_COORDINATOR_JOB_QUEUE_H_

#include <cstdint>
#include <map>
#include <optional>

#include "server/coordinator/job.h"

namespace drover {

// The QUEUED job of the highest priority; among equals the one created first.
std::optional<uint64_t> NextJob(const std::map<uint64_t, JobRecord>& jobs);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_QUEUE_H_
