#include "common/base/end_signals.h"

#include <unistd.h>

#include "common/base/check.h"
#include "common/base/logging.h"

namespace drover {
namespace {

// Not the default action: the kernel ignores that for process 1 of a container.
void EndAtOnce(int signal) { _exit(128 + signal); }

}  // namespace

EndSignals::EndSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

int EndSignals::Await() {
  int received = 0;
  DROVER_CHECK(sigwait(&signals_, &received) == 0);
  struct sigaction action = {};
  action.sa_handler = &EndAtOnce;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  LogInfo("ends after {}: finishing what is under way, a second signal ends it at once",
          received == SIGTERM ? "SIGTERM" : "SIGINT");
  return received;
}

}  // namespace drover
