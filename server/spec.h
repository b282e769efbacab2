// The job a user described, checked whole and with every default filled in: what coordinator and
// shards work from. Knows nothing of files, of what a worker will find in the dataset, or of
// quotas. Pure; thread-safe.

#ifndef DROVER_SERVER_SPEC_H_
#define DROVER_SERVER_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "proto/drover/v1/job.pb.h"
#include "server/job_plan.h"

namespace drover {

// Bounds of what one job may ask for. With them no product below overflows 63 bits.
inline constexpr int64_t kBatchMax = int64_t{1} << 24;
inline constexpr int64_t kStepsMax = int64_t{1} << 31;
inline constexpr int kPhasesMax = 64;
inline constexpr int64_t kMicroBatchMax = 65536;
inline constexpr int64_t kLayerWidthMax = 65536;
inline constexpr int kHiddenLayersMax = 64;
inline constexpr int64_t kParametersMax = int64_t{1} << 31;
inline constexpr int kFractionBitsMin = 8;
inline constexpr int64_t kDeadlineSecondsMax = int64_t{10} * 365 * 86400;

// What is wrong with one field, e.g. {"optimizer.lamb.beta2", "is 1, expected 0 <= beta2 < 1"}.
struct FieldViolation {
  std::string field;  // Path in JobSpec, as in a job file.
  std::string what;

  friend bool operator==(const FieldViolation&, const FieldViolation&) = default;
};

// Appends every violation to `violations` (may be null). kInvalidArgument with all of them, one
// "field: what" per line, when there is one. Any message is safe, also one with fields or enum
// values that this build does not know.
Status CheckJobSpec(const v1::JobSpec& spec, std::vector<FieldViolation>* violations);

// The spec as plain values with defaults, or what CheckJobSpec says.
Result<JobPlan> PlanJob(const v1::JobSpec& spec);

// `spec` with every default of the plan written out, so that no later version of a default can
// change a job that exists. Planning it again gives the same plan.
v1::JobSpec WithDefaults(const v1::JobSpec& spec, const JobPlan& plan);

}  // namespace drover

#endif  // DROVER_SERVER_SPEC_H_
