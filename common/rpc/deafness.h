// Whether a server that does not answer on its own port has stopped answering for ever, or is only
// slow. gRPC 1.51 stops taking connections once the process has run out of file descriptors: then
// waiting is of no use, and the process ends soon. Without a sign of that the machine may just be
// busy, so patience is long, and time in which this process did not run does not count. Pure; not
// thread-safe: PortWatchdog owns it.

#ifndef DROVER_COMMON_RPC_DEAFNESS_H_
#define DROVER_COMMON_RPC_DEAFNESS_H_

#include <optional>
#include <string>

#include "common/base/clock.h"

namespace drover {

class Deafness {
 public:
  struct Limits {
    Duration exhausted = std::chrono::seconds(3);  // With a sign that descriptors have run out.
    Duration slow = std::chrono::seconds(25);      // Without.
    // Looks that are further apart say that this thread got no processor, so others got none.
    Duration gap = std::chrono::milliseconds(750);
  };
  struct Look {
    bool answered = false;   // The knock that was made last; else it is still waited for.
    bool exhausted = false;  // Few descriptors are left, or one was lacking since the last look.
  };

  Deafness() : Deafness(Limits()) {}
  explicit Deafness(const Limits& limits) : limits_(limits) {}

  // Call every `gap` at least, half as long is better. What there is to say when the process should
  // end.
  std::optional<std::string> Observe(const Look& look, Instant now);

 private:
  const Limits limits_;
  std::optional<Instant> looked_;
  Duration silent_{0};      // For how long nobody has answered, gaps not counted.
  bool exhausted_ = false;  // There was a sign since the last answer, or at that look.
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_DEAFNESS_H_
