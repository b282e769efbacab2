// A coordinator's end of sessions, for tests: writes what a test puts into `orders` and keeps what
// it reads. One session at a time.

#ifndef DROVER_TESTS_UNIT_COMMON_RPC_FAKE_COORDINATOR_H_
#define DROVER_TESTS_UNIT_COMMON_RPC_FAKE_COORDINATOR_H_

#include <grpc/support/time.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/thread.h"
#include "common/rpc/channel.h"

namespace drover {

// Service: v1::WorkerService::Service with WorkerOrder and WorkerMessage, or the shards' like.
template <typename Service, typename Order, typename Message>
class FakeCoordinator : public Service {
 public:
  static constexpr Duration kPatience = std::chrono::seconds(60);

  explicit FakeCoordinator(const std::string& address = "127.0.0.1:0") {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kControl);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeCoordinator() override {
    orders.Close();
    messages.Close();
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  }

  grpc::Status Session(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<Order, Message>* stream) override {
    Thread writer("fake-writer", [&] {
      while (const std::optional<Order> order = orders.Pop()) {
        // An order without a kind: break the stream here.
        if (order->kind_case() == Order::KIND_NOT_SET || !stream->Write(*order)) break;
      }
      if (refusal.ok()) context->TryCancel();
    });
    Message message;
    if (!refusal.ok()) {
      if (stream->Read(&message)) messages.Push(message);
      orders.Close();
      writer.Join();
      return refusal;
    }
    while (stream->Read(&message)) {
      if (message.has_heartbeat()) {
        heartbeats.TryPush(true);
      } else {
        messages.Push(message);
      }
    }
    if (!context->IsCancelled()) {
      hung_up.TryPush(true);
      orders.Close();
    }
    return grpc::Status::OK;
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  Message Await() {
    std::optional<Message> message = messages.PopFor(kPatience);
    EXPECT_TRUE(message.has_value());
    return message.value_or(Message());
  }

  grpc::Status refusal;  // Not OK, before anybody dials: what every session is ended with.
  BoundedQueue<Order> orders{10};
  BoundedQueue<Message> messages{1000};
  BoundedQueue<bool> heartbeats{10};  // Come at any time, so they are no messages here.
  BoundedQueue<bool> hung_up{10};     // The peer ended its session as it should.

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_COMMON_RPC_FAKE_COORDINATOR_H_
