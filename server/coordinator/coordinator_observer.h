// Who is told what the coordinator's core hears and says, for figures: the metrics, or nobody.

#ifndef DROVER_SERVER_COORDINATOR_COORDINATOR_OBSERVER_H_
#define DROVER_SERVER_COORDINATOR_COORDINATOR_OBSERVER_H_

#include <cstdint>
#include <map>
#include <string>

#include "server/coordinator/coordinator.h"
#include "server/coordinator/coordinator_events.h"

namespace drover {

// Called on the runtime's thread.
class CoordinatorObserver {
 public:
  virtual ~CoordinatorObserver() = default;

  virtual void OnEvent(const CoordinatorEvent& event) = 0;     // Before the core hears it.
  virtual void OnAction(const CoordinatorAction& action) = 0;  // After it has been carried out.
  enum class StoreWrite { kAppend, kCommit };
  virtual void OnStoreWrite(StoreWrite kind, double seconds) = 0;
  virtual void OnUnknownJob() = 0;  // A peer spoke of a job that is not there: dropped.
  virtual void OnTick(const Coordinator& core) = 0;

  // What was derived of a job and is worth showing to people.
  struct JobFigures {
    double step_seconds = 0;  // Smoothed; 0: no step yet.
    std::map<std::string, double>
        lateness_seconds;  // By worker, as drover_worker_lateness_seconds.
  };
  virtual JobFigures FiguresOf(uint64_t /*job*/) const { return {}; }
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_COORDINATOR_OBSERVER_H_
