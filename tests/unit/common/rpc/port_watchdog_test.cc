#include "common/rpc/port_watchdog.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/base/bounded_queue.h"

namespace drover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A port that the kernel listens on; nobody takes connections until Serve.
class Port {
 public:
  Port() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(socket_, 16), 0);
    socklen_t size = sizeof(address);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~Port() {
    shutdown(socket_, SHUT_RDWR);  // Wakes accept.
    server_.reset();
    close(socket_);
  }

  void Serve() {
    server_ = std::make_unique<Thread>("accept", [this] {
      for (;;) {
        const int connection = accept(socket_, nullptr, nullptr);
        if (connection < 0) return;
        close(connection);
      }
    });
  }
  std::string address(const std::string& host = "127.0.0.1") const {
    return host + ":" + std::to_string(port_);
  }

 private:
  const int socket_;
  int port_ = 0;
  std::unique_ptr<Thread> server_;
};

PortWatchdog::Options WatchOptions(const Port& port, BoundedQueue<std::string>* told,
                                   bool exhausted) {
  PortWatchdog::Options options;
  options.address = port.address();
  options.on_deaf = [told](const std::string& why) { told->TryPush(why); };
  options.limits = {milliseconds(30), seconds(1000), seconds(60)};
  options.every = options.look = milliseconds(10);
  options.exhausted = [exhausted] { return exhausted; };
  return options;
}

TEST(PortWatchdogTest, AProbeTellsAServerFromAKernelThatOnlyListens) {
  Port port;
  PortProbe unheard(port.address());
  EXPECT_EQ(unheard.Wait(milliseconds(50)), PortProbe::State::kWaiting);
  EXPECT_EQ(unheard.why(), "connected, but nobody takes the connection");
  port.Serve();
  EXPECT_EQ(unheard.Wait(seconds(60)), PortProbe::State::kAnswered);
  EXPECT_EQ(PortProbe(port.address("0.0.0.0")).Wait(seconds(60)), PortProbe::State::kAnswered);
  EXPECT_EQ(PortProbe(port.address("localhost")).Wait(seconds(60)), PortProbe::State::kAnswered);
  EXPECT_EQ(PortProbe("no port").Wait(seconds(60)), PortProbe::State::kFailed);
}

TEST(PortWatchdogTest, SaysOnceThatAPortIsDeafWhenDescriptorsHaveRunOut) {
  Port port;
  BoundedQueue<std::string> told(4);
  PortWatchdog watchdog(WatchOptions(port, &told, /*exhausted=*/true));

  const std::optional<std::string> why = told.PopFor(seconds(60));

  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("descriptors have run out: connected, but nobody takes"), std::string::npos)
      << *why;
  EXPECT_FALSE(told.PopFor(milliseconds(50)).has_value());
}

TEST(PortWatchdogTest, AServerThatIsOnlySlowIsWaitedFor) {
  Port port;
  BoundedQueue<std::string> told(4);
  PortWatchdog watchdog(WatchOptions(port, &told, /*exhausted=*/false));

  EXPECT_FALSE(told.PopFor(milliseconds(100)).has_value());
}

TEST(PortWatchdogTest, EndsWhileItWaits) {
  Port port;
  port.Serve();
  BoundedQueue<std::string> told(4);
  PortWatchdog::Options options = WatchOptions(port, &told, /*exhausted=*/false);
  options.every = seconds(1000);
  PortWatchdog watchdog(options);
}

TEST(PortWatchdogTest, DescriptorsAreScarceWhenTheLimitIsNear) {
  EXPECT_FALSE(DescriptorsAreScarce());
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = 4;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);

  EXPECT_TRUE(DescriptorsAreScarce());

  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(PortWatchdogTest, AsManyDescriptorsAsAllowed) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = limit.rlim_max < 64 ? limit.rlim_max : 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);

  EXPECT_EQ(RaiseDescriptorLimit().value(), static_cast<int64_t>(before.rlim_max));

  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, before.rlim_max);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace drover
