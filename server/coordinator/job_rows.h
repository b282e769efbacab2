// A job's record as rows of the job store and back. Thread-safe: functions only.

#ifndef DROVER_SERVER_COORDINATOR_JOB_ROWS_H_
#define DROVER_SERVER_COORDINATOR_JOB_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/coordinator/coordinator_events.h"
#include "server/coordinator/job.h"
#include "server/coordinator/job_proto.h"
#include "server/coordinator/job_store.h"

namespace drover {

// The same bytes for equal messages, also with maps in them.
std::string SerializeSpec(const v1::JobSpec& spec);
std::string SerializeLayout(const Layout& layout);

// `layout` is SerializeLayout of the record's, or empty: it is made once and not at every step.
JobRow RowOf(const JobRecord& record, const JobFacts& facts, const std::string& layout);
CommitRow CommitRowOf(const CommitOrder& commit, const v1::StepReport& report);
CheckpointRow CheckpointRowOf(uint64_t job, const CheckpointRecord& checkpoint,
                              int64_t created_unix_ms);
std::vector<PlacementRow> PlacementRowsOf(const std::vector<Placement>& placement);

struct LoadedJob {
  JobRecord record;  // `order` is not set.
  JobFacts facts;
  JobRow row;
};
// Everything about one job. kDataLoss naming the job when a row does not hold what it should.
Result<LoadedJob> LoadJob(JobStore* store, const JobRow& row);

v1::CheckpointInfo CheckpointInfoOf(const CheckpointRow& row);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_ROWS_H_
