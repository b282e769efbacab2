// Jobs on their way to the job store: what users are told beyond the core's records, the numbered
// events, and which writes an action needs. Every Save is durable when it returns OK. Not
// thread-safe: CoordinatorRuntime's thread owns it.

#ifndef DROVER_SERVER_COORDINATOR_JOB_BOOK_H_
#define DROVER_SERVER_COORDINATOR_JOB_BOOK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "server/coordinator/coordinator_events.h"
#include "server/coordinator/event_signal.h"
#include "server/coordinator/job_proto.h"
#include "server/coordinator/job_store.h"

namespace drover {

class JobBook {
 public:
  // All outlive this.
  JobBook(JobStore* store, const Clock* clock, EventSignal* signal)
      : store_(store), clock_(clock), signal_(signal) {}

  // All jobs of the store, oldest first. Once, before anything else.
  Result<std::vector<JobRecord>> Load();

  // Enters a new job; fills in id, order and name. `is_new` is false when the request was answered
  // before: then only the id is right. Request ids of different owners have nothing to do with
  // each other.
  Result<JobStore::Created> Create(const std::string& request_id, const v1::JobSpec& spec,
                                   const std::string& owner, JobRecord* record);
  bool HasRequest(const std::string& request_id, const std::string& owner) const;
  Status Delete(uint64_t job);

  Status RaiseEpoch(const drover::RaiseEpoch& action);
  Status Save(const JobRecord& record);
  Status SaveCommit(const drover::SaveCommit& action);
  Status SaveCheckpoint(const drover::SaveCheckpoint& action);

  // Events are numbered at once and written with the next Save of their job, or by Flush. Of an
  // unknown job: dropped.
  void Add(const LogEvent& event);
  void Add(const StateEvent& event);
  void Add(const EvalEvent& event);
  Status Flush();

  // Null when unknown; valid until the next call that changes something.
  const JobFacts* Facts(uint64_t job) const;

 private:
  struct Entry {
    JobFacts facts;
    JobRow saved;                          // As in the store.
    std::vector<Placement> placement;      // As in the store.
    std::vector<int64_t> checkpoints;      // Versions, as in the store, ascending.
    std::shared_ptr<const Layout> layout;  // Of saved.layout.
    int64_t last_sequence = 0;
    std::vector<EventRow> pending;
  };

  // Null when the job is unknown; valid until the next one.
  EventRow* AddEvent(uint64_t job, v1::JobEvent event);
  // The record's row, with the times of its state.
  JobRow NewRow(const JobRecord& record, Entry* entry);
  // After a write that took the row and all pending events.
  void Written(uint64_t job, JobRow row, Entry* entry);
  Status SavePlacement(const JobRecord& record, Entry* entry);
  Status ForgetCheckpoints(const JobRecord& record, Entry* entry);
  uint64_t NewId() const;

  JobStore* const store_;
  const Clock* const clock_;
  EventSignal* const signal_;
  std::map<uint64_t, Entry> entries_;
  int64_t last_order_ = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_BOOK_H_
