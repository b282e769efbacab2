// The past of jobs for the status page: steps and evaluations, evenly over the job as the desk
// picks them, and the last lines. Lines are read from the events as they come and kept for a few
// jobs, so that a poll reads only what is new. Thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_STATUS_HISTORY_H_
#define DROVER_SERVER_COORDINATOR_STATUS_HISTORY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread_annotations.h"
#include "server/coordinator/job_desk.h"
#include "server/coordinator/status_facts.h"

namespace drover {

class StatusHistory {
 public:
  static constexpr int64_t kPoints = 240;  // About so many steps, and evaluations.
  static constexpr size_t kLinesMax = 40;
  static constexpr size_t kJobsMax = 4;  // Kept; the one not asked for the longest goes.

  // Outlives this.
  explicit StatusHistory(JobDesk* desk) : desk_(desk) {}

  // Fills in steps, evals and lines of the job with this id. Errors are the desk's.
  Status Read(const std::string& id, StatusFacts* facts) DROVER_EXCLUDES(mutex_);

 private:
  struct Past {
    int64_t last_sequence = 0;
    int64_t used = 0;  // When it was last asked for.
    std::deque<StatusLine> lines;

    void Add(const v1::JobEvent& event);
  };

  Status ReadLines(const std::string& id, StatusFacts* facts) DROVER_EXCLUDES(mutex_);
  int64_t LastSequence(const std::string& id) DROVER_EXCLUDES(mutex_);
  void Add(const std::string& id, const std::vector<v1::JobEvent>& events) DROVER_EXCLUDES(mutex_);

  JobDesk* const desk_;
  Mutex mutex_;
  std::map<std::string, Past> jobs_ DROVER_GUARDED_BY(mutex_);
  int64_t uses_ DROVER_GUARDED_BY(mutex_) = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_STATUS_HISTORY_H_
