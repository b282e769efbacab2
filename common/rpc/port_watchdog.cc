#include "common/rpc/port_watchdog.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <optional>
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
    const Duration left = std::max(until - Clock::Real().Now(), Duration(0));
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd wanted = {socket.number(), events, 0};
    const int ready = poll(&wanted, 1, static_cast<int>(milliseconds));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// So few that the next connections may find none; a process may have a few thousand.
int64_t Scarce(int64_t limit) { return std::clamp<int64_t>(limit / 64, 2, 64); }

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

bool DescriptorsAreScarce() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  std::error_code error;
  const std::filesystem::directory_iterator open("/proc/self/fd", error);
  if (error) return true;  // One is needed to look.
  const auto count = static_cast<int64_t>(std::distance(begin(open), end(open)));
  const auto most = static_cast<int64_t>(limit.rlim_cur);
  return count >= most - Scarce(most);
}

PortProbe::PortProbe(const std::string& address) {
  AddressList list;
  const Status resolved = Resolve(address, &list);
  if (!resolved.ok()) {
    Fail(resolved.message());
    return;
  }
  socket_.emplace(::socket(list.first->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket_->number() < 0) {
    Fail("no socket: " + ErrorText(errno));
  } else if (connect(socket_->number(), list.first->ai_addr, list.first->ai_addrlen) != 0 &&
             errno != EINPROGRESS) {
    Fail("cannot connect: " + ErrorText(errno));
  }
}

void PortProbe::Fail(const std::string& why) {
  state_ = State::kFailed;
  why_ = why;
}

PortProbe::State PortProbe::Wait(Duration patience) {
  if (state_ != State::kWaiting) return state_;
  const Instant until = Clock::Real().Now() + patience;
  if (!connected_) {
    if (!Await(*socket_, POLLOUT, until)) return state_;
    connected_ = true;
    why_ = "connected, but nobody takes the connection";
    if (shutdown(socket_->number(), SHUT_WR) != 0) Fail("no connection: " + ErrorText(errno));
    if (state_ == State::kFailed) return state_;
  }
  if (Await(*socket_, POLLIN, until)) state_ = State::kAnswered;
  return state_;
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

bool PortWatchdog::stopping() {
  MutexLock lock(&mutex_);
  return stopping_;
}

void PortWatchdog::Run() {
  Deafness deafness(options_.limits);
  std::optional<PortProbe> probe;
  while (!stopping()) {
    // A knock that failed is made again; one that waits goes on waiting, since a slow server
    // answers it one day.
    if (!probe) probe.emplace(options_.address);
    const PortProbe::State state = probe->Wait(options_.look);
    const bool answered = state == PortProbe::State::kAnswered;
    const std::optional<std::string> deaf =
        deafness.Observe({answered, options_.exhausted()}, Clock::Real().Now());
    if (deaf) return options_.on_deaf(*deaf + ": " + probe->why());
    if (state == PortProbe::State::kWaiting) continue;
    probe.reset();
    if (!WaitFor(answered ? options_.every : options_.look)) return;
  }
}

std::unique_ptr<PortWatchdog> EndWhenDeaf(const std::string& address) {
  if (address.starts_with("unix:")) return nullptr;
  ListenToGrpcLog();
  PortWatchdog::Options options;
  options.address = address;
  options.on_deaf = [address](const std::string& why) {
    LogError(
        "stopping: this process does not answer on its own port {} any more ({}); raise the hard "
        "limit of file descriptors (ulimit -Hn), see who connects so often, or give it more "
        "processor time",
        address, why);
    // No destructors: what would be waited for may never come.
    std::_Exit(kExitDeaf);
  };
  return std::make_unique<PortWatchdog>(std::move(options));
}

}  // namespace drover
