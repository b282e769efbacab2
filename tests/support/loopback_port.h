// A free port of loopback on which the kernel takes connections, and somebody looks at them once
// there is a server. For tests of who dials. One thread, but for the server's.

#ifndef DROVER_TESTS_SUPPORT_LOOPBACK_PORT_H_
#define DROVER_TESTS_SUPPORT_LOOPBACK_PORT_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/base/descriptor.h"
#include "common/base/thread.h"

namespace drover {

class LoopbackPort {
 public:
  LoopbackPort() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_.number(), generic, size), 0);
    EXPECT_EQ(listen(listener_.number(), 16), 0);
    EXPECT_EQ(getsockname(listener_.number(), generic, &size), 0);
    port_ = std::to_string(ntohs(address.sin_port));
  }
  ~LoopbackPort() {
    shutdown(listener_.number(), SHUT_RDWR);  // Wakes accept.
    server_.reset();
  }

  // From here on each connection is handed to `serve`, one at a time, and then closed. Once.
  void Serve(std::function<void(int peer)> serve) {
    server_ = std::make_unique<Thread>("server", [this, serve = std::move(serve)] {
      for (;;) {
        const Descriptor peer(accept(listener_.number(), nullptr, nullptr));
        if (peer.number() < 0) return;
        serve(peer.number());
      }
    });
  }

  std::string At(const std::string& host) const { return host + ":" + port_; }

 private:
  const Descriptor listener_;
  std::string port_;
  std::unique_ptr<Thread> server_;
};

}  // namespace drover

#endif  // DROVER_TESTS_SUPPORT_LOOPBACK_PORT_H_
