// Where the gRPC services put what has happened: the runtime's queue, or a script in a test.

#ifndef DROVER_SERVER_COORDINATOR_EVENT_SINK_H_
#define DROVER_SERVER_COORDINATOR_EVENT_SINK_H_

#include "server/coordinator/coordinator_events.h"

namespace drover {

// Thread-safe.
class EventSink {
 public:
  virtual ~EventSink() = default;

  // Blocks while the queue is full, which slows down the peer that talks too much. False once the
  // coordinator is going down.
  virtual bool Post(CoordinatorEvent event) = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_EVENT_SINK_H_
