// Ctrl-C and a polite kill. The first one is counted, so that loops can end in order; the second
// ends the process at once. Thread-safe.

#ifndef DROVER_SERVER_CLI_INTERRUPT_H_
#define DROVER_SERVER_CLI_INTERRUPT_H_

namespace drover {

// From here on SIGINT, SIGTERM and SIGHUP are counted. Call once, early in main.
void CatchInterrupts();

bool Interrupted();

}  // namespace drover

#endif  // DROVER_SERVER_CLI_INTERRUPT_H_
