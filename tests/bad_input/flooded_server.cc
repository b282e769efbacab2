// A coordinator that may have 40 more descriptors than it needs, watched as the real one is but
// more often, for case 12. Prints its port, then serves until it is deaf.

#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>
#include <iterator>

#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/rpc/accept_errors.h"
#include "common/rpc/port_watchdog.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/world.h"

int main() {
  using std::chrono::milliseconds;
  drover::InitLogging("flooded", {});  // To stderr.
  drover::bad_input::World world;
  const auto open = std::filesystem::directory_iterator("/proc/self/fd");
  const auto count = static_cast<rlim_t>(std::distance(begin(open), end(open)));
  const rlimit limit = {count + 40, count + 40};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  const int port = world.coordinator().port();
  drover::ListenToGrpcLog();
  drover::PortWatchdog::Options options;
  options.address = fmt::format("127.0.0.1:{}", port);
  // No destructors: they would wait for a server that is stuck.
  options.on_deaf = [](const std::string&) { _Exit(drover::kExitDeaf); };
  // The connections are gone before the first look: that they were too many, gRPC's log has said.
  options.limits.exhausted = milliseconds(500);
  options.every = options.look = milliseconds(50);
  const drover::PortWatchdog watchdog(options);
  printf("%d\n", port);
  fflush(stdout);
  drover::SleepFor(std::chrono::minutes(1));
  _Exit(0);
}
