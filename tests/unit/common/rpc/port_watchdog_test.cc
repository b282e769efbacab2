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

TEST(PortWatchdogTest, AProbeTellsAServerFromAKernelThatOnlyListens) {
  Port port;
  EXPECT_EQ(ProbePort(port.address(), milliseconds(50)).code(), Code::kUnavailable);
  port.Serve();
  EXPECT_TRUE(ProbePort(port.address(), seconds(20)).ok());
  EXPECT_TRUE(ProbePort(port.address("0.0.0.0"), seconds(20)).ok());
  EXPECT_TRUE(ProbePort(port.address("localhost"), seconds(20)).ok());
  EXPECT_FALSE(ProbePort("no port", seconds(20)).ok());
}

TEST(PortWatchdogTest, SaysOnceThatAPortIsDeaf) {
  Port port;
  BoundedQueue<std::string> told(4);
  PortWatchdog watchdog({port.address(), [&](const std::string& why) { told.TryPush(why); },
                         milliseconds(1), milliseconds(10), milliseconds(1), 3});

  const std::optional<std::string> why = told.PopFor(seconds(60));

  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(*why, "3 tries in a row: connected, but nobody takes the connection");
  EXPECT_FALSE(told.PopFor(milliseconds(50)).has_value());
}

TEST(PortWatchdogTest, EndsWhileItWaits) {
  Port port;
  port.Serve();
  BoundedQueue<std::string> told(4);
  PortWatchdog watchdog({port.address(), [&](const std::string& why) { told.TryPush(why); },
                         seconds(1000), seconds(1), seconds(1), 3});
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
