#include "common/rpc/session.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "proto/drover/v1/worker.grpc.pb.h"
#include "tests/unit/common/rpc/fake_coordinator.h"

namespace drover {
namespace {

using WorkerSession = Session<v1::WorkerMessage, v1::WorkerOrder>;

using Coordinator = FakeCoordinator<v1::WorkerService::Service, v1::WorkerOrder, v1::WorkerMessage>;

constexpr Duration kPatience = Coordinator::kPatience;

v1::WorkerOrder PullOrder(int64_t version) {
  v1::WorkerOrder order;
  order.mutable_pull()->set_version(version);
  return order;
}

v1::WorkerMessage Request(int64_t version) {
  v1::WorkerMessage message;
  message.mutable_work_request()->set_version(version);
  return message;
}

class SessionTest : public testing::Test {
 protected:
  // Dials; orders go to orders_.
  std::unique_ptr<WorkerSession> Dial(const std::string& address,
                                      Duration heartbeat_every = kPatience,
                                      BoundedQueue<v1::WorkerOrder>* orders = nullptr) {
    if (orders == nullptr) orders = &orders_;
    WorkerSession::Options options;
    options.heartbeat.mutable_heartbeat();
    options.heartbeat_every = heartbeat_every;
    options.on_retry = [this] { ++retries_; };
    options.on_ended = [this](const Status& why) {
      ++ended_;
      endings_.TryPush(why);
    };
    options.open = [stub = std::shared_ptr(
                        v1::WorkerService::NewStub(MakeChannel(address, ChannelKind::kControl)))](
                       grpc::ClientContext* context) { return stub->Session(context); };
    options.hello.mutable_register_()->set_name("worker-7");
    auto session = std::make_unique<WorkerSession>(std::move(options));
    session->Start([orders](v1::WorkerOrder order) { orders->Push(std::move(order)); });
    return session;
  }

  BoundedQueue<v1::WorkerOrder> orders_{100};
  BoundedQueue<Status> endings_{100};
  std::atomic<int> ended_ = 0;
  std::atomic<int> retries_ = 0;
};

TEST_F(SessionTest, SaysHelloAndCarriesOrdersAndMessages) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address());
  EXPECT_EQ(coordinator.Await().register_().name(), "worker-7");
  coordinator.orders.Push(PullOrder(3));

  const std::optional<v1::WorkerOrder> order = orders_.PopFor(kPatience);
  ASSERT_TRUE(order.has_value());
  EXPECT_EQ(order->pull().version(), 3);
  EXPECT_TRUE(session->connected());
  session->Send(Request(4));

  EXPECT_EQ(coordinator.Await().work_request().version(), 4);
}

TEST_F(SessionTest, IsHeardWhileItHasNothingToSay) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address(), std::chrono::milliseconds(1));
  coordinator.Await();

  for (int i = 0; i < 3; ++i) EXPECT_TRUE(coordinator.heartbeats.PopFor(kPatience).has_value());
}

TEST_F(SessionTest, IsHeardWhileItsReaderIsBusy) {
  Coordinator coordinator;
  BoundedQueue<v1::WorkerOrder> full(1);
  full.Push(PullOrder(0));
  const auto session = Dial(coordinator.address(), std::chrono::milliseconds(1), &full);
  coordinator.Await();
  coordinator.orders.Push(PullOrder(1));

  for (int i = 0; i < 20; ++i) EXPECT_TRUE(coordinator.heartbeats.PopFor(kPatience).has_value());
  full.Close();
}

TEST_F(SessionTest, SaysHelloAgainAfterEveryBreak) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(coordinator.Await().register_().name(), "worker-7");
    EXPECT_GE(retries_, i);
    EXPECT_EQ(retries_, ended_);                 // The first stream is none.
    coordinator.orders.Push(v1::WorkerOrder());  // Breaks the stream.
  }
}

TEST_F(SessionTest, TheReasonOfARefusalArrivesAndTheCoordinatorIsNotHammered) {
  Coordinator coordinator;
  coordinator.refusal = {grpc::StatusCode::INVALID_ARGUMENT, "no such name"};
  const Instant begin = Clock::Real().Now();
  const auto session = Dial(coordinator.address());

  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(coordinator.Await().register_().name(), "worker-7");
    const std::optional<Status> why = endings_.PopFor(kPatience);
    ASSERT_TRUE(why.has_value());
    EXPECT_EQ(why->code(), Code::kInvalidArgument) << why->ToString();
    EXPECT_EQ(why->message(), "no such name");
  }

  // 100, 200, 400 and 800 ms between the five.
  EXPECT_GE(Clock::Real().Now() - begin, std::chrono::milliseconds(1500));
}

TEST_F(SessionTest, FindsACoordinatorThatWasStartedAgain) {
  auto coordinator = std::make_unique<Coordinator>();
  const std::string address = coordinator->address();
  const auto session = Dial(address);
  coordinator->Await();
  coordinator.reset();

  coordinator = std::make_unique<Coordinator>(address);

  EXPECT_EQ(coordinator->Await().register_().name(), "worker-7");
}

TEST_F(SessionTest, DropsWhatIsSentWithoutAConnection) {
  const auto session = Dial("127.0.0.1:1");
  for (int64_t i = 0; i < 1000; ++i) session->Send(Request(i));
  EXPECT_FALSE(session->connected());
}

TEST_F(SessionTest, NothingFromBeforeABreakFollowsTheNewHello) {
  auto coordinator = std::make_unique<Coordinator>();
  const std::string address = coordinator->address();
  const auto session = Dial(address);
  coordinator->Await();
  coordinator->orders.Push(PullOrder(1));
  ASSERT_TRUE(orders_.PopFor(kPatience).has_value());
  coordinator.reset();
  session->Send(Request(1));  // Lost with the stream, or dropped.

  coordinator = std::make_unique<Coordinator>(address);
  EXPECT_EQ(coordinator->Await().register_().name(), "worker-7");
  coordinator->orders.Push(PullOrder(2));
  ASSERT_TRUE(orders_.PopFor(kPatience).has_value());
  session->Send(Request(2));

  EXPECT_EQ(coordinator->Await().work_request().version(), 2);
}

TEST_F(SessionTest, PatientStopDeliversWhatIsQueued) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();
  coordinator.orders.Push(PullOrder(1));
  ASSERT_TRUE(orders_.PopFor(kPatience).has_value());
  for (int64_t i = 0; i < 50; ++i) session->Send(Request(i));

  session->Stop(kPatience);

  for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(coordinator.Await().work_request().version(), i);
  EXPECT_TRUE(coordinator.hung_up.PopFor(kPatience).has_value());
}

TEST_F(SessionTest, StopCutsAStreamThatTheCoordinatorHoldsOpen) {
  Coordinator coordinator;
  const auto session = Dial(coordinator.address());
  coordinator.Await();

  session->Stop();
  session->Stop();

  EXPECT_FALSE(session->connected());
  session->Send(Request(1));  // Harmless.
}

TEST_F(SessionTest, StopDoesNotWaitForACoordinatorThatIsNotThere) {
  const auto session = Dial("127.0.0.1:1");
  session->Stop(std::chrono::milliseconds(1));
  EXPECT_FALSE(session->connected());
}

}  // namespace
}  // namespace drover
