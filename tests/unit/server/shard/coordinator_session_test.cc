// Dialling, breaks and lost messages are tested with common/rpc/session.h; here is what a shard
// says.

#include "server/shard/coordinator_session.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/rpc/channel.h"
#include "proto/drover/v1/shard.grpc.pb.h"
#include "server/step_messages_proto.h"
#include "tests/unit/common/rpc/fake_coordinator.h"
#include "tests/unit/server/shard/slow_job.h"

namespace drover {
namespace {

using Coordinator = FakeCoordinator<v1::ShardService::Service, v1::ShardOrder, v1::ShardMessage>;

constexpr Duration kPatience = Coordinator::kPatience;

class CoordinatorSessionTest : public testing::Test {
 protected:
  std::unique_ptr<CoordinatorSession> Dial(const std::string& address) {
    auto session = std::make_unique<CoordinatorSession>(
        MakeChannel(address, ChannelKind::kControl),
        ShardIdentity{"shard-1", 0xabcdef, "127.0.0.1:50051", "0.1.0"}, nullptr,
        [this] { ++retries_; });
    session->Start([this](ShardOrder order) { orders_.TryPush(std::move(order)); });
    return session;
  }
  static AppliedReply Reply(int64_t step) { return {{kSlowJobId, 1, step}}; }

  BoundedQueue<ShardOrder> orders_{10};
  std::atomic<int> retries_ = 0;
};

TEST_F(CoordinatorSessionTest, TheFirstMessageRegisters) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address());

  const v1::ShardMessage message = coordinator.Await();

  EXPECT_EQ(message.register_().name(), "shard-1");
  EXPECT_EQ(message.register_().incarnation(), 0xabcdefu);
  EXPECT_EQ(message.register_().address(), "127.0.0.1:50051");
  EXPECT_EQ(message.register_().version(), "0.1.0");
}

TEST_F(CoordinatorSessionTest, OrdersComeInAndRepliesGoOut) {
  Coordinator coordinator;
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
  Coordinator coordinator;
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

TEST_F(CoordinatorSessionTest, TellsOfEveryStreamThatIsDialledAgain) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();
  coordinator.orders.Push(v1::ShardOrder());  // Breaks the stream.

  coordinator.Await();

  EXPECT_GE(retries_, 1);
}

TEST_F(CoordinatorSessionTest, StopEndsAStreamThatIsOpen) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();

  session->Stop();
  session->Stop();

  EXPECT_FALSE(session->connected());
}

}  // namespace
}  // namespace drover
