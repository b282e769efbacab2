#include "server/cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include "server/cli/exit_code.h"

namespace drover {
namespace {

volatile sig_atomic_t interrupts = 0;

void OnSignal(int) {
  // Children die with us: they asked the kernel for it (child_process.cc).
  if (interrupts > 0) _exit(kExitInterrupted);
  interrupts = 1;
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

bool Interrupted() { return interrupts > 0; }

}  // namespace drover
