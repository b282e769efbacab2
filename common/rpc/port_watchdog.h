// Looks whether this process still answers on its own port, and says so when it does not. gRPC
// 1.51 stops taking connections for ever once the process has run out of file descriptors
// (CVE-2023-4785): only a restart helps, and nothing else would notice. Thread-safe.

#ifndef DROVER_COMMON_RPC_PORT_WATCHDOG_H_
#define DROVER_COMMON_RPC_PORT_WATCHDOG_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/descriptor.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "common/rpc/accept_errors.h"
#include "common/rpc/deafness.h"

namespace drover {

// Makes room for connections: as many descriptors as the process may have. How many that are.
Result<int64_t> RaiseDescriptorLimit();

// Whether few descriptors are left, so that the next connection may not be taken.
bool DescriptorsAreScarce();

// One knock at the server on `address` (HOST:PORT, as it listens): connects, ends its side at once
// and waits for the server to do the same or to say something. A kernel also completes connections
// that nobody will ever look at; those do not answer. Not thread-safe.
class PortProbe {
 public:
  explicit PortProbe(const std::string& address);

  enum class State { kWaiting, kAnswered, kFailed };
  // Waits at most `patience` more, or until it is answered or has failed: then it stays so.
  State Wait(Duration patience);
  const std::string& why() const { return why_; }  // Not answered.

 private:
  void Fail(const std::string& why);

  State state_ = State::kWaiting;
  std::string why_ = "no connection";
  std::optional<Descriptor> socket_;
  bool connected_ = false;
};

class PortWatchdog {
 public:
  struct Options {
    std::string address;
    std::function<void(const std::string& why)> on_deaf;  // Once; on the watchdog's thread.
    Deafness::Limits limits = {};
    Duration every = std::chrono::seconds(1);        // After a knock that was answered.
    Duration look = std::chrono::milliseconds(250);  // While one is not.
    // Whether there is a sign that descriptors have run out.
    std::function<bool()> exhausted = [] { return TakeAcceptError() || DescriptorsAreScarce(); };
  };

  explicit PortWatchdog(Options options);
  ~PortWatchdog();  // Stops.

 private:
  void Run();
  bool WaitFor(Duration time) DROVER_EXCLUDES(mutex_);  // False when it is to stop.
  bool stopping() DROVER_EXCLUDES(mutex_);

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
