// WorkerService and ShardService over real streams, against a sink that keeps what it is given.
#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/rpc/channel.h"
#include "server/coordinator/shard_service.h"
#include "server/coordinator/worker_service.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kPatience{60};

class ScriptedSink final : public EventSink {
 public:
  bool Post(CoordinatorEvent event) override { return events_.Push(std::move(event)); }

  template <typename Event>
  Event Await() {
    std::optional<CoordinatorEvent> event = events_.PopFor(kPatience);
    EXPECT_TRUE(event.has_value() && std::holds_alternative<Event>(*event));
    return event.has_value() && std::holds_alternative<Event>(*event) ? std::get<Event>(*event)
                                                                      : Event();
  }
  bool empty() { return !events_.PopFor(std::chrono::nanoseconds(0)).has_value(); }
  void GoDown() { events_.Close(); }

 private:
  BoundedQueue<CoordinatorEvent> events_{64};
};

class PeerServicesTest : public ::testing::Test {
 protected:
  explicit PeerServicesTest(const PeerSessions::Limits& limits = {}) : sessions_(limits) {}
  void SetUp() override {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kControl);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&workers_);
    builder.RegisterService(&shards_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ = MakeChannel("127.0.0.1:" + std::to_string(port), ChannelKind::kControl);
    worker_stub_ = v1::WorkerService::NewStub(channel_);
    shard_stub_ = v1::ShardService::NewStub(channel_);
  }
  void TearDown() override {
    sink_.GoDown();
    sessions_.CloseAll("the test is over");
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  }

  static v1::WorkerMessage Worker(const std::string& name) {
    v1::WorkerMessage message;
    message.mutable_register_()->set_name(name);
    message.mutable_register_()->set_lanes(2);
    message.mutable_register_()->set_version("0.7.0");
    return message;
  }
  static v1::ShardMessage Shard(const std::string& name, const std::string& address) {
    v1::ShardMessage message;
    message.mutable_register_()->set_name(name);
    message.mutable_register_()->set_address(address);
    message.mutable_register_()->set_incarnation(11);
    message.mutable_register_()->set_version("0.7.0");
    return message;
  }

  // Whether the message left, and if not, how the stream ended.
  template <typename Stream, typename Message>
  static ::testing::AssertionResult Sent(Stream* stream, const Message& message) {
    if (stream->Write(message)) return ::testing::AssertionSuccess();
    const grpc::Status status = stream->Finish();
    return ::testing::AssertionFailure() << "the stream ended with code " << status.error_code()
                                         << ": " << status.error_message();
  }

  // What the server says to a stream whose first message is this one.
  grpc::Status StatusAfter(const v1::WorkerMessage& first) {
    grpc::ClientContext context;
    const auto stream = worker_stub_->Session(&context);
    stream->Write(first);
    v1::WorkerOrder order;
    while (stream->Read(&order)) continue;
    return stream->Finish();
  }
  grpc::Status StatusAfter(const v1::ShardMessage& first) {
    grpc::ClientContext context;
    const auto stream = shard_stub_->Session(&context);
    stream->Write(first);
    v1::ShardOrder order;
    while (stream->Read(&order)) continue;
    return stream->Finish();
  }

  StillClock clock_;
  ScriptedSink sink_;
  PeerSessions sessions_;
  std::vector<AuthFailure> refused_;
  const PeerHost host_{.sink = &sink_,
                       .sessions = &sessions_,
                       .clock = &clock_,
                       .on_refused = [this](AuthFailure failure) { refused_.push_back(failure); },
                       .release = "0.7.0"};
  WorkerService workers_{host_};
  ShardService shards_{host_};
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerService::Stub> worker_stub_;
  std::unique_ptr<v1::ShardService::Stub> shard_stub_;
};

TEST_F(PeerServicesTest, AWorkersStreamBecomesEvents) {
  grpc::ClientContext context;
  const auto stream = worker_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Worker("w0")));
  const WorkerJoined joined = sink_.Await<WorkerJoined>();
  EXPECT_EQ(joined.name, "w0");
  EXPECT_EQ(joined.lanes, 2u);

  v1::WorkerMessage request;
  request.mutable_work_request()->set_job(1);
  request.mutable_work_request()->set_epoch(2);
  request.mutable_work_request()->set_version(3);
  ASSERT_TRUE(Sent(stream.get(), request));
  const WorkRequested requested = sink_.Await<WorkRequested>();
  EXPECT_EQ(requested.session, joined.session);
  EXPECT_EQ(requested.fence, (Fence{1, 2, 3}));

  stream->WritesDone();
  const WorkerLeft left = sink_.Await<WorkerLeft>();
  EXPECT_EQ(left.session, joined.session);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(PeerServicesTest, OrdersReachTheWorkerOfTheSession) {
  grpc::ClientContext context;
  const auto stream = worker_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Worker("w0")));
  const SessionId session = sink_.Await<WorkerJoined>().session;

  v1::WorkerOrder order;
  order.mutable_unassign()->set_job(42);
  sessions_.Send(session, order);

  v1::WorkerOrder received;
  ASSERT_TRUE(stream->Read(&received));
  EXPECT_EQ(received.unassign().job(), 42u);
}

TEST_F(PeerServicesTest, AShardsStreamBecomesEvents) {
  grpc::ClientContext context;
  const auto stream = shard_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Shard("s0", "127.0.0.1:50051")));
  const ShardJoined joined = sink_.Await<ShardJoined>();
  EXPECT_EQ(joined.name, "s0");
  EXPECT_EQ(joined.address, "127.0.0.1:50051");
  EXPECT_EQ(joined.incarnation, 11u);

  v1::ShardMessage applied;
  applied.mutable_applied()->set_job(1);
  applied.mutable_applied()->set_epoch(2);
  applied.mutable_applied()->set_step(3);
  ASSERT_TRUE(Sent(stream.get(), applied));
  const ShardReplied replied = sink_.Await<ShardReplied>();
  EXPECT_EQ(std::get<AppliedReply>(replied.reply).fence, (Fence{1, 2, 3}));

  v1::ShardOrder order;
  order.mutable_release()->set_job(42);
  sessions_.Send(joined.session, order);
  v1::ShardOrder received;
  ASSERT_TRUE(stream->Read(&received));
  EXPECT_EQ(received.release().job(), 42u);
}

TEST_F(PeerServicesTest, AKilledPeerLeavesAtOnce) {
  grpc::ClientContext context;
  const auto stream = worker_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Worker("w0")));
  const SessionId session = sink_.Await<WorkerJoined>().session;

  context.TryCancel();

  EXPECT_EQ(sink_.Await<WorkerLeft>().session, session);
}

TEST_F(PeerServicesTest, AClosedSessionSaysWhyItLeft) {
  grpc::ClientContext context;
  const auto stream = worker_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Worker("w0")));
  const SessionId session = sink_.Await<WorkerJoined>().session;

  sessions_.Close(session, "replaced by a newcomer of the same name");

  EXPECT_EQ(sink_.Await<WorkerLeft>().reason, "replaced by a newcomer of the same name");
  v1::WorkerOrder order;
  EXPECT_FALSE(stream->Read(&order));
}

TEST_F(PeerServicesTest, AMessageOutOfBoundsEndsTheStreamWithItsReason) {
  grpc::ClientContext context;
  const auto stream = worker_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Worker("w0")));
  sink_.Await<WorkerJoined>();

  ASSERT_TRUE(Sent(stream.get(), Worker("w0")));

  EXPECT_THAT(sink_.Await<WorkerLeft>().reason, HasSubstr("a second RegisterWorker"));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(PeerServicesTest, WhoDoesNotRegisterProperlyIsTurnedAway) {
  v1::WorkerMessage heartbeat;
  heartbeat.mutable_heartbeat();
  v1::ShardMessage applied;
  applied.mutable_applied();

  for (const grpc::Status& status :
       {StatusAfter(heartbeat), StatusAfter(Worker("no spaces")), StatusAfter(applied),
        StatusAfter(Shard("", "127.0.0.1:1")), StatusAfter(Shard("s", "nowhere")),
        StatusAfter(Shard("s", "127.0.0.1:0")), StatusAfter(Shard("s", "127.0.0.1:65536")),
        StatusAfter(Shard("s", ":1")), StatusAfter(Shard("s", "dns:///a,b:1"))}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  }
  EXPECT_TRUE(sink_.empty());
}

TEST_F(PeerServicesTest, PeersOfAnotherReleaseAreRefused) {
  v1::WorkerMessage worker = Worker("w0");
  worker.mutable_register_()->set_version("0.8.0");
  v1::ShardMessage shard = Shard("s0", "127.0.0.1:50051");
  shard.mutable_register_()->clear_version();

  const grpc::Status newer = StatusAfter(worker);
  const grpc::Status unknown = StatusAfter(shard);

  EXPECT_EQ(newer.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(newer.error_message(),
            "worker w0 is of release \"0.8.0\", the coordinator of \"0.7.0\": run the same release "
            "everywhere");
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(unknown.error_message(), HasSubstr("shard s0 is of release \"\""));
  EXPECT_TRUE(sink_.empty());
}

TEST_F(PeerServicesTest, WhoDoesNotSayWhoItIsIsClosed) {
  grpc::ClientContext silent_context;
  const auto silent = worker_stub_->Session(&silent_context);
  // Nothing else tells when the server has taken the stream.
  while (sessions_.size() < 1) SleepFor(std::chrono::milliseconds(1));
  clock_.Advance(10'001);
  grpc::ClientContext context;
  const auto stream = worker_stub_->Session(&context);
  stream->Write(Worker("w0"));
  sink_.Await<WorkerJoined>();

  sessions_.CloseSilent(clock_.Now());

  v1::WorkerOrder order;
  EXPECT_FALSE(silent->Read(&order));
  EXPECT_FALSE(silent->Finish().ok());
  // The client may hear of the end before the server's thread has left.
  while (sessions_.size() > 1) SleepFor(std::chrono::milliseconds(1));
  EXPECT_EQ(sessions_.size(), 1u) << "who has just joined stays";
}

TEST_F(PeerServicesTest, AShardThatFallsSilentIsGone) {
  grpc::ClientContext context;
  const auto stream = shard_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Shard("s0", "127.0.0.1:50051")));
  const SessionId session = sink_.Await<ShardJoined>().session;
  clock_.Advance(4'000);
  v1::ShardMessage heartbeat;
  heartbeat.mutable_heartbeat();
  ASSERT_TRUE(Sent(stream.get(), heartbeat));
  v1::ShardMessage applied;
  applied.mutable_applied()->set_job(1);
  applied.mutable_applied()->set_epoch(2);
  ASSERT_TRUE(Sent(stream.get(), applied));
  sink_.Await<ShardReplied>();  // A heartbeat is no event.
  for (int i = 0; i < 4; ++i) {
    clock_.Advance(1'000);
    sessions_.CloseSilent(clock_.Now());
  }
  EXPECT_TRUE(sink_.empty()) << "four seconds are no silence";

  clock_.Advance(1'000);
  sessions_.CloseSilent(clock_.Now());

  const ShardLeft left = sink_.Await<ShardLeft>();
  EXPECT_EQ(left.session, session);
  EXPECT_THAT(left.reason, HasSubstr("nothing was heard of it"));
}

TEST_F(PeerServicesTest, NobodyJoinsACoordinatorThatGoesDown) {
  sink_.GoDown();

  EXPECT_EQ(StatusAfter(Worker("w0")).error_code(), grpc::StatusCode::UNAVAILABLE);
}

class PeerLimitsTest : public PeerServicesTest {
 protected:
  PeerLimitsTest() : PeerServicesTest({.workers = 1, .shards = 1}) {}
};

TEST_F(PeerLimitsTest, AWorkerTooManyIsToldSoAndCounted) {
  grpc::ClientContext context;
  const auto stream = worker_stub_->Session(&context);
  ASSERT_TRUE(Sent(stream.get(), Worker("w0")));
  sink_.Await<WorkerJoined>();

  const grpc::Status status = StatusAfter(Worker("w1"));

  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("1 workers already"));
  EXPECT_EQ(refused_, std::vector<AuthFailure>{AuthFailure::kTooMany});
  EXPECT_TRUE(sink_.empty());
  EXPECT_EQ(StatusAfter(Shard("s0", "nowhere")).error_code(), grpc::StatusCode::INVALID_ARGUMENT)
      << "it was heard";
}

}  // namespace
}  // namespace drover
