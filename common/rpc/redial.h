// How a daemon that dials again after every break paces itself, and which breaks are worth a line
// in its log. A peer that is not there is tried again soon; one that refuses us, time and again, is
// not hammered. Not thread-safe: it belongs to the thread that dials.

#ifndef DROVER_COMMON_RPC_REDIAL_H_
#define DROVER_COMMON_RPC_REDIAL_H_

#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace drover {

class Redial {
 public:
  struct Ending {  // Of one stream.
    Status status;
    bool useful = false;  // The peer said something on it.
    Duration lasted{0};   // Since it was dialled.
  };

  // How long to wait now: kReconnectInitialMs after a stream that was useful or long; else twice as
  // long as the last time, up to kReconnectMaxMs, or kRedialRefusedMaxMs when the peer, or what
  // came of it, was the reason (any status but OK and kUnavailable).
  Duration PauseAfter(const Ending& ending);

  // Whether the last ending was for another reason than the one told before, or the first after a
  // stream that was useful or long.
  bool is_news() const { return is_news_; }

 private:
  Duration pause_{0};  // The last one; 0 = none yet.
  std::string told_;
  bool is_news_ = false;
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_REDIAL_H_
