// Which job starts, and which worker serves which job. Strictly in order: higher priority first,
// then first come, first served. A job that does not fit yet keeps those behind it waiting, so that
// a large one is not starved by small ones; a running job is never made smaller for another. Pure:
// everything it decides from is in its arguments.

#ifndef DROVER_SERVER_COORDINATOR_JOB_QUEUE_H_
#define DROVER_SERVER_COORDINATOR_JOB_QUEUE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/coordinator/coordinator_events.h"

namespace drover {

// A job that runs or waits. Those that are being stopped are left out: they take no more workers.
struct QueueJob {
  uint64_t id = 0;
  int64_t priority = 0;
  int64_t order = 0;         // Of creation.
  uint32_t min_workers = 1;  // That are free when it starts.
  uint32_t max_workers = 0;  // 0: as many as there are.
  bool running = false;
  uint32_t workers = 0;  // Those that serve it now.
};

// A worker that serves no job and may serve one, in the order in which they are to be taken.
struct FreeWorker {
  SessionId session = 0;
  std::set<uint64_t> refused_by;  // Jobs that it is not given to.
};

struct QueueLimits {
  uint32_t shards = 0;
  uint32_t shards_min = 1;    // A job starts when so many are there.
  uint32_t running_max = 16;  // Jobs at once: shards hold the state of all of them.
};

struct QueuePlan {
  struct Wait {
    std::string reason;   // UPPER_SNAKE.
    std::string message;  // For people.
  };
  std::vector<uint64_t> start;                          // In order.
  std::vector<std::pair<SessionId, uint64_t>> workers;  // Who serves which job from now on.
  std::map<uint64_t, Wait> waits;                       // Of every job that stays in the queue.
};

// Running jobs that have lost workers are filled up to their min_workers first, whatever their
// place: they hold memory on the shards and would otherwise wait for those that wait for them. Then
// each job in order: a running one takes free workers up to its max_workers; a waiting one starts
// when its min_workers are free, and takes as many as it may; the first one that cannot start ends
// the round.
QueuePlan PlanQueue(std::vector<QueueJob> jobs, std::vector<FreeWorker> free,
                    const QueueLimits& limits);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_JOB_QUEUE_H_
