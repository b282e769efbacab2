// The core of the coordinator: composes queue, membership, leases and step commit. Everything it
// decides comes out of Handle as actions, in order; it never calls out, reads a clock or keeps a
// thread. Not thread-safe: CoordinatorRuntime owns it.
//
// Several jobs run at once, each with workers of its own and all of them on all shards; the others
// wait in the queue (job_queue.h).

#ifndef DROVER_SERVER_COORDINATOR_COORDINATOR_H_
#define DROVER_SERVER_COORDINATOR_COORDINATOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "server/coordinator/coordinator_events.h"
#include "server/coordinator/job.h"

namespace drover {

struct CoordinatorOptions {
  uint32_t shards_min = 1;           // A job is placed on all shards once this many are there.
  std::string checkpoint_directory;  // Under it: JOB/ckpt/VERSION-EPOCH.
  uint32_t running_jobs_max = 16;    // At once; shards hold the state of all of them.
};

class JobRun;
struct Members;
struct Turn;

class Coordinator {
 public:
  explicit Coordinator(const CoordinatorOptions& options);
  ~Coordinator();

  // What `event` at time `now` leads to. `now` never goes back.
  std::vector<CoordinatorAction> Handle(const CoordinatorEvent& event, Instant now);

  // All jobs, for the API. Null when unknown.
  const std::map<uint64_t, JobRecord>& jobs() const { return jobs_; }
  const JobRecord* FindJob(uint64_t id) const;

  // Jobs that hold shards and workers, or wait for those they had; in order of their ids.
  std::vector<uint64_t> running_jobs() const;
  bool runs(uint64_t job) const { return runs_.contains(job); }
  // Serving this job now; 0 when it does not run.
  uint32_t worker_count(uint64_t job) const;
  uint32_t shard_count(uint64_t job) const;

  // Figures for gauges and the status page: who is there, open leases.
  struct WorkerView {
    std::string name;
    uint64_t job;  // That it serves or, if it is not described, may serve soon; 0: none.
    bool described;
    int64_t version;
    uint32_t lanes;
    std::string numeric_class;
    bool leaving;
    std::string refusal;  // Why it may not serve its job, or empty.
    double samples_per_second;
  };
  std::vector<WorkerView> Workers() const;
  struct ShardView {
    std::string name;
    std::string address;
  };
  std::vector<ShardView> Shards() const;
  size_t open_leases(uint64_t job) const;
  size_t overdue_leases(uint64_t job, Instant now) const;  // Of them, those that take too long.

 private:
  struct Visitor;

  void Advance(Turn* turn);
  void EndRun(uint64_t job);
  void Plan(Turn* turn);
  void Run(JobRecord* job, bool restored, Turn* turn);
  JobRun* RunOf(uint64_t job) const;
  void OnVerb(const JobVerbRequested& event, Turn* turn);

  const CoordinatorOptions options_;
  std::map<uint64_t, JobRecord> jobs_;
  std::unique_ptr<Members> members_;
  std::map<uint64_t, std::unique_ptr<JobRun>> runs_;
  bool plan_due_ = false;  // Something has happened that may let a job start or grow.
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_COORDINATOR_H_
