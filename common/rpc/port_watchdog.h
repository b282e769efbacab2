// Looks whether this process still answers on its own port, and says so when it does not. gRPC
// 1.51 stops taking connections for ever once the process has run out of file descriptors
// (CVE-2023-4785): only a restart helps, and nothing else would notice. Thread-safe.

#ifndef DROVER_COMMON_RPC_PORT_WATCHDOG_H_
#define DROVER_COMMON_RPC_PORT_WATCHDOG_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"

namespace drover {

// Makes room for connections: as many descriptors as the process may have. How many that are.
Result<int64_t> RaiseDescriptorLimit();

// Connects to the server on `address` (HOST:PORT, as it listens), ends its side at once and waits
// for the server to do the same or to say something: OK when it did within `patience`. A kernel
// also completes connections that nobody will ever look at; those do not answer.
Status ProbePort(const std::string& address, Duration patience);

class PortWatchdog {
 public:
  struct Options {
    std::string address;
    std::function<void(const std::string& why)> on_deaf;  // Once; on the watchdog's thread.
    Duration every = std::chrono::seconds(1);
    Duration patience = std::chrono::seconds(1);
    Duration pause = std::chrono::milliseconds(250);  // After a probe that failed.
    int failures_max = 3;                             // In a row.
  };

  explicit PortWatchdog(Options options);
  ~PortWatchdog();  // Stops.

 private:
  void Run();
  bool WaitFor(Duration time) DROVER_EXCLUDES(mutex_);  // False when it is to stop.

  const Options options_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ DROVER_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

// Ends this process with kExitDeaf when it does not answer any more. Null for "unix:" addresses,
// which only this machine reaches.
inline constexpr int kExitDeaf = 75;
std::unique_ptr<PortWatchdog> EndWhenDeaf(const std::string& address);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_PORT_WATCHDOG_H_
