// Jobs, reports and checkpoints of the core as messages of proto/drover/v1/job.proto, for users and
// for the job store. Thread-safe: functions only.

#ifndef DROVER_SERVER_COORDINATOR_JOB_PROTO_H_
#define DROVER_SERVER_COORDINATOR_JOB_PROTO_H_

#include <cstdint>
#include <string>

#include "proto/drover/v1/job.pb.h"
#include "server/coordinator/coordinator_events.h"
#include "server/coordinator/job.h"

namespace drover {

// Who made a job where nobody is asked who he is.
inline constexpr char kLocalOwner[] = "local";

// What users are told of a job beyond the core's record; does not change what the core decides.
struct JobFacts {
  v1::JobSpec spec;  // With every default.
  std::string spec_digest;
  std::string request_id;
  std::string owner = kLocalOwner;
  int64_t created_unix_ms = 0;
  int64_t started_unix_ms = 0;  // 0 = not yet.
  int64_t ended_unix_ms = 0;    // 0 = not yet.
};

std::string JobIdText(uint64_t id);  // 16 hexadecimal digits.

v1::Job JobToProto(const JobRecord& record, const JobFacts& facts);

v1::StepReport StepReportToProto(const StepSummary& summary);
v1::EvalReport EvalReportToProto(const EvalSummary& summary);
v1::Ledger LedgerToProto(const Ledger& ledger);
v1::CheckpointInfo CheckpointToProto(uint64_t job, const CheckpointRecord& checkpoint,
                                     int64_t created_unix_ms);
v1::LogLine LogLineToProto(const LogEvent& event);

// Only from our own job store. What the message does not hold (norms per tensor) stays empty.
StepSummary StepSummaryFromProto(const v1::StepReport& message);
EvalSummary EvalSummaryFromProto(const v1::EvalReport& message);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_PROTO_H_
