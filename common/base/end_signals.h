// SIGTERM and SIGINT of a daemon: the first one asks it to finish what is under way and end with
// exit code 0, a second one ends it at once with 128 plus the signal's number. Make one before any
// thread starts: threads inherit that the signals are blocked, so only Await sees them.

#ifndef DROVER_COMMON_BASE_END_SIGNALS_H_
#define DROVER_COMMON_BASE_END_SIGNALS_H_

#include <signal.h>

namespace drover {

class EndSignals {
 public:
  EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  // Blocks until the first one, which it logs and returns. Once, from a thread that lives until the
  // process ends: from then on that thread takes the second one.
  int Await();

 private:
  sigset_t signals_;
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_END_SIGNALS_H_
