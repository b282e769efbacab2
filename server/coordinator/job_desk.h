// What JobService may ask of the coordinator: implemented by CoordinatorRuntime, and by scripts in
// tests. Jobs are named as in job.proto: by id, by a unique prefix of it, or by name.

#ifndef DROVER_SERVER_COORDINATOR_JOB_DESK_H_
#define DROVER_SERVER_COORDINATOR_JOB_DESK_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "proto/drover/v1/job.pb.h"
#include "server/coordinator/job.h"

namespace drover {

// Thread-safe. Every method answers within a few seconds: kUnavailable when the coordinator is too
// busy or going down; kNotFound when no job, or kInvalidArgument when more than one, is meant.
class JobDesk {
 public:
  virtual ~JobDesk() = default;

  // The spec has been planned, and has every default. kAlreadyExists when the request id came
  // before with another spec.
  struct Created {
    v1::Job job;
    bool is_new;  // False: an earlier request with this id made it.
  };
  // kResourceExhausted when the owner has too many jobs that have not ended.
  virtual Result<Created> Create(const std::string& request_id, const v1::JobSpec& spec,
                                 const JobPlan& plan, const std::string& owner) = 0;
  // The id (16 digits) of the job of this owner that is meant; jobs of others do not exist here.
  virtual Result<std::string> FindOwned(const std::string& job, const std::string& owner) = 0;
  virtual Result<v1::Job> Get(const std::string& job) = 0;
  virtual Result<std::vector<v1::Job>> List() = 0;  // Newest first.
  // kFailedPrecondition as CheckVerb says. The job as it is right after.
  virtual Result<v1::Job> Ask(const std::string& job, JobVerb verb) = 0;
  virtual Status Delete(const std::string& job) = 0;  // kFailedPrecondition unless it has ended.
  // Newest first; of all jobs when `job` is empty.
  virtual Result<std::vector<v1::CheckpointInfo>> Checkpoints(const std::string& job) = 0;

  // Events of the job with this id (16 digits), oldest first, at most `count_max`.
  virtual Result<std::vector<v1::JobEvent>> ReadEvents(const std::string& id,
                                                       int64_t after_sequence,
                                                       int64_t count_max) = 0;

  // What the job with this id (16 digits) reported, ascending: docs/formats.md says which steps are
  // kept. An evaluation of version v belongs to step v - 1, after which it was made.
  struct History {
    std::vector<v1::StepReport> steps;
    std::vector<v1::EvalReport> evaluations;
    int64_t next_step = 0;  // Of ReadMetrics: there is more from here on; 0 = no.
  };
  // Steps at or after `first_step`, at most `count_max` (1 to kHistoryPageMax), and evaluations up
  // to the next page.
  virtual Result<History> ReadMetrics(const std::string& id, int64_t first_step,
                                      int64_t count_max) = 0;
  // About `points` (2 to kHistoryPointsMax) of each, evenly over the job, the first and the last
  // one among them: for charts. Costs what it returns, however long the job.
  virtual Result<History> ReadMetricsPoints(const std::string& id, int64_t points) = 0;
  static constexpr int64_t kHistoryPageMax = 2000;
  static constexpr int64_t kHistoryPointsMax = 1000;

  // Returns when there is an event after `after_sequence`, or the time is up.
  virtual void WaitForEvent(const std::string& id, int64_t after_sequence,
                            std::chrono::nanoseconds timeout) = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_DESK_H_
