#include "common/rpc/port_watchdog.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "common/base/descriptor.h"
#include "common/base/host_port.h"
#include "common/base/logging.h"
#include "common/base/quote.h"

namespace drover {
namespace {

std::string ErrorText(int error) { return std::generic_category().message(error); }

struct AddressList {
  ~AddressList() {
    if (first != nullptr) freeaddrinfo(first);
  }
  addrinfo* first = nullptr;
};

// Where a server that listens on `address` is reached from here.
Status Resolve(const std::string& address, AddressList* list) {
  auto [host, port] = SplitHostPort(address);
  if (host.empty() || host == "0.0.0.0" || host == "*") host = "127.0.0.1";
  if (host == "::") host = "::1";
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &list->first);
  if (error == 0 && list->first != nullptr) return Status();
  return Status(Code::kUnavailable, fmt::format("{}: {}", Quote(address), gai_strerror(error)));
}

// Until `events` or an end of the connection; false when the time is up.
bool Await(const Descriptor& socket, short events, Instant until) {
  for (;;) {
    const Duration left = until - Clock::Real().Now();
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (milliseconds <= 0) return false;
    pollfd wanted = {socket.number(), events, 0};
    const int ready = poll(&wanted, 1, static_cast<int>(milliseconds));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Status Deaf(const std::string& what) { return Status(Code::kUnavailable, what); }

}  // namespace

Result<int64_t> RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Status(Code::kInternal, "cannot read the limit of descriptors: " + ErrorText(errno));
  }
  if (limit.rlim_cur != limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return Status(Code::kInternal, "cannot raise the limit of descriptors: " + ErrorText(errno));
    }
  }
  return static_cast<int64_t>(limit.rlim_cur);
}

Status ProbePort(const std::string& address, Duration patience) {
  const Instant until = Clock::Real().Now() + patience;
  AddressList list;
  DROVER_RETURN_IF_ERROR(Resolve(address, &list));
  const Descriptor socket(
      ::socket(list.first->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.number() < 0) return Deaf("no socket: " + ErrorText(errno));
  if (connect(socket.number(), list.first->ai_addr, list.first->ai_addrlen) != 0 &&
      errno != EINPROGRESS) {
    return Deaf("cannot connect: " + ErrorText(errno));
  }
  if (!Await(socket, POLLOUT, until)) return Deaf("no connection");
  if (shutdown(socket.number(), SHUT_WR) != 0) return Deaf("no connection: " + ErrorText(errno));
  if (!Await(socket, POLLIN, until)) return Deaf("connected, but nobody takes the connection");
  return Status();
}

PortWatchdog::PortWatchdog(Options options)
    : options_(std::move(options)), thread_("watchdog", [this] { Run(); }) {}

PortWatchdog::~PortWatchdog() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
}

bool PortWatchdog::WaitFor(Duration time) {
  const Instant until = Clock::Real().Now() + time;
  MutexLock lock(&mutex_);
  while (!stopping_) {
    const Duration left = until - Clock::Real().Now();
    if (left.count() <= 0 || !changed_.WaitFor(&mutex_, left)) break;
  }
  return !stopping_;
}

void PortWatchdog::Run() {
  int failures = 0;
  while (WaitFor(failures == 0 ? options_.every : options_.pause)) {
    const Instant begin = Clock::Real().Now();
    const Status probed = ProbePort(options_.address, options_.patience);
    // A process that was stopped, or got no processor, did not answer itself either.
    const bool awake = Clock::Real().Now() - begin < 2 * options_.patience;
    failures = probed.ok() || !awake ? 0 : failures + 1;
    if (failures < options_.failures_max) continue;
    return options_.on_deaf(fmt::format("{} tries in a row: {}", failures, probed.message()));
  }
}

std::unique_ptr<PortWatchdog> EndWhenDeaf(const std::string& address) {
  if (address.starts_with("unix:")) return nullptr;
  PortWatchdog::Options options;
  options.address = address;
  options.on_deaf = [address](const std::string& why) {
    LogError(
        "stopping: this process does not answer on its own port {} any more ({}): it may have run "
        "out of file descriptors; raise the hard limit (ulimit -Hn) or see who connects so often",
        address, why);
    // No destructors: what would be waited for may never come.
    std::_Exit(kExitDeaf);
  };
  return std::make_unique<PortWatchdog>(std::move(options));
}

}  // namespace drover
