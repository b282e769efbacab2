// Who is told what the coordinator's core hears and says, for figures: the metrics, or nobody.

#ifndef DROVER_SERVER_COORDINATOR_COORDINATOR_OBSERVER_H_
#define DROVER_SERVER_COORDINATOR_COORDINATOR_OBSERVER_H_

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
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_COORDINATOR_OBSERVER_H_
