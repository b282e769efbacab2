// Who is connected: one entry per open stream. A name belongs to one living process; a newcomer of
// the same name replaces the old stream. Pure; not thread-safe: Coordinator owns it.

#ifndef DROVER_SERVER_COORDINATOR_MEMBERSHIP_H_
#define DROVER_SERVER_COORDINATOR_MEMBERSHIP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/coordinator/coordinator_events.h"

namespace drover {

struct WorkerMember {
  SessionId session = 0;
  std::string name;
  std::string numeric_class;
  uint32_t lanes = 1;
  bool leaving = false;
  std::set<uint64_t> refused_by;  // Runs that it cannot or may not serve: not given to them again.
  uint64_t job = 0;               // The run that it was given to last, while that lasts; 0: none.

  // About that job; JobRun resets them when it gets the worker.
  bool described = false;           // Has built the same model as the others.
  bool refused = false;             // Cannot or may not serve the job.
  std::string refusal;              // Why.
  bool idle = false;                // Asked for work and has not been answered.
  int64_t version = -1;             // Held when it last asked.
  double samples_per_second = 0.0;  // Smoothed over leases; 0 = not measured yet.
  Instant heard;                    // When it last said something, or was last assigned.
};

struct ShardMember {
  SessionId session = 0;
  std::string name;
  uint64_t incarnation = 0;
  std::string address;
};

struct Members {
  std::map<SessionId, WorkerMember> workers;
  std::map<SessionId, ShardMember> shards;

  // The workers that were given to a job, also those that it has refused since. In the order in
  // which they joined.
  std::vector<WorkerMember*> WorkersOf(uint64_t job);
  // Null when the worker is not there, or is not this job's.
  WorkerMember* FindWorker(SessionId session, uint64_t job);

  // Null when nobody of that name is there.
  const ShardMember* FindShard(const std::string& name) const;
  // The stream that a newcomer of this name replaces, if any.
  std::optional<SessionId> WorkerSession(const std::string& name) const;
  std::optional<SessionId> ShardSession(const std::string& name) const;

  // Samples per second of all of a job's workers that may get work, guessing the unmeasured ones by
  // lanes.
  double TotalSpeed(uint64_t job) const;
  double SpeedOf(const WorkerMember& worker) const;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_MEMBERSHIP_H_
