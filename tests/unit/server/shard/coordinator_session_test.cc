#include "server/shard/coordinator_session.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/rpc/channel.h"
#include "proto/drover/v1/shard.grpc.pb.h"
#include "server/step_messages_proto.h"
#include "tests/unit/server/shard/slow_job.h"

namespace drover {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

// A coordinator that writes what a test puts into `orders` and keeps what it reads.
class FakeCoordinator : public v1::ShardService::Service {
 public:
  explicit FakeCoordinator(const std::string& address = "127.0.0.1:0") {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kControl);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeCoordinator() override {
    orders.Close();
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  }

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ShardOrder, v1::ShardMessage>* stream) override {
    Thread writer("fake-writer", [&] {
      while (const std::optional<v1::ShardOrder> order = orders.Pop()) {
        // An order without a kind: end the stream here.
        if (order->kind_case() == v1::ShardOrder::KIND_NOT_SET || !stream->Write(*order)) break;
      }
      context->TryCancel();
    });
    v1::ShardMessage message;
    while (stream->Read(&message)) messages.TryPush(message);
    return grpc::Status::OK;
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  v1::ShardMessage Await() {
    std::optional<v1::ShardMessage> message = messages.PopFor(kPatience);
    EXPECT_TRUE(message.has_value());
    return message.value_or(v1::ShardMessage());
  }

  BoundedQueue<v1::ShardOrder> orders{10};
  BoundedQueue<v1::ShardMessage> messages{100};

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class CoordinatorSessionTest : public testing::Test {
 protected:
  std::unique_ptr<CoordinatorSession> Dial(const std::string& address) {
    auto session = std::make_unique<CoordinatorSession>(
        MakeChannel(address, ChannelKind::kControl),
        ShardIdentity{"shard-1", 0xabcdef, "127.0.0.1:50051", "0.1.0"});
    session->Start([this](ShardOrder order) { orders_.TryPush(std::move(order)); });
    return session;
  }
  static AppliedReply Reply(int64_t step) { return {{kSlowJobId, 1, step}}; }

  BoundedQueue<ShardOrder> orders_{10};
};

TEST_F(CoordinatorSessionTest, TheFirstMessageRegisters) {
  FakeCoordinator coordinator;
  const auto session = Dial(coordinator.address());

  const v1::ShardMessage message = coordinator.Await();

  EXPECT_EQ(message.register_().name(), "shard-1");
  EXPECT_EQ(message.register_().incarnation(), 0xabcdefu);
  EXPECT_EQ(message.register_().address(), "127.0.0.1:50051");
  EXPECT_EQ(message.register_().version(), "0.1.0");
}

TEST_F(CoordinatorSessionTest, OrdersComeInAndRepliesGoOut) {
  FakeCoordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();
  coordinator.orders.Push(OrderToProto(SlowJobPlace(SlowJobLayout())));

  const std::optional<ShardOrder> order = orders_.PopFor(kPatience);
  ASSERT_TRUE(order.has_value());
  EXPECT_EQ(std::get<PlaceOrder>(*order).job, kSlowJobId);
  EXPECT_TRUE(session->connected());
  session->Send(Reply(7));

  EXPECT_EQ(coordinator.Await().applied().step(), 7);
}

TEST_F(CoordinatorSessionTest, AnOrderThatIsNotValidIsDroppedAndTheStreamGoesOn) {
  FakeCoordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();
  v1::ShardOrder bad;
  bad.mutable_stable()->set_job(1);  // No epoch.
  coordinator.orders.Push(bad);
  coordinator.orders.Push(OrderToProto(ReleaseOrder{3}));

  const std::optional<ShardOrder> order = orders_.PopFor(kPatience);

  ASSERT_TRUE(order.has_value());
  EXPECT_EQ(std::get<ReleaseOrder>(*order).job, 3u);
}

TEST_F(CoordinatorSessionTest, ABrokenStreamIsDialledAgain) {
  FakeCoordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();
  coordinator.orders.Push(v1::ShardOrder());  // Ends the stream.

  EXPECT_EQ(coordinator.Await().register_().name(), "shard-1");
}

TEST_F(CoordinatorSessionTest, ACoordinatorThatComesBackIsFound) {
  auto coordinator = std::make_unique<FakeCoordinator>();
  const std::string address = coordinator->address();
  const auto session = Dial(address);
  coordinator->Await();
  coordinator.reset();
  session->Send(Reply(1));  // Dropped, or lost.

  coordinator = std::make_unique<FakeCoordinator>(address);

  EXPECT_EQ(coordinator->Await().register_().incarnation(), 0xabcdefu);
}

TEST_F(CoordinatorSessionTest, RepliesWithoutAConnectionAreDropped) {
  const auto session = Dial("127.0.0.1:1");

  for (int64_t step = 0; step < 1000; ++step) session->Send(Reply(step));

  EXPECT_FALSE(session->connected());
}

TEST_F(CoordinatorSessionTest, StopEndsAStreamThatIsOpen) {
  FakeCoordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();

  session->Stop();
  session->Stop();

  EXPECT_FALSE(session->connected());
}

}  // namespace
}  // namespace drover
