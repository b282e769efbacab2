#include "server/shard/tensor_service.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/thread.h"
#include "common/rpc/channel.h"
#include "common/tls/job_token.h"
#include "tests/unit/server/shard/runtime_driver.h"

namespace drover {
namespace {

grpc::ByteBuffer MessageOf(const SlowJobFrame& frame) {
  return MakeSmallFrame(frame.header, AsBytes(frame.payload));
}

std::string TokenOf(const std::string& worker, uint32_t epoch = 1) {
  const int64_t now = Clock::Real().UnixMilliseconds() / 1000;
  return SealJobToken(std::string(kJobKeyBytes, 'k'),
                      {kSlowJobId, epoch, kVerbPush | kVerbPull, now + 3600, worker});
}

// A worker's end of one stream, in the thread of the test.
class FakeWorker {
 public:
  FakeWorker(int port, const std::string& name) : FakeWorker(port, name, TokenOf(name)) {
    Hello(name);
  }
  // Says no hello.
  FakeWorker(int port, const std::string& name, const std::string& token)
      : stream_(MakeChannel("127.0.0.1:" + std::to_string(port), ChannelKind::kData), name, token) {
  }

  void Hello(const std::string& name) {
    FrameHeader hello;
    hello.type = FrameType::kHello;
    EXPECT_TRUE(stream_.Write(MakeSmallFrame(hello, AsBytes(name))));
  }

  bool Write(const grpc::ByteBuffer& message) { return stream_.Write(message); }
  void Pull(const Layout& layout, int64_t version, uint32_t epoch = 1) {
    EXPECT_TRUE(stream_.Write(
        MakeSmallFrame(SlowJobHeader(FrameType::kPull, layout, version, {0, 0}, epoch))));
  }
  ReceivedFrame Read() {
    grpc::ByteBuffer message;
    EXPECT_TRUE(stream_.Read(&message)) << "the stream has ended";
    Result<ReceivedFrame> frame = ParseFrame(message);
    EXPECT_TRUE(frame.ok()) << frame.status().ToString();
    return std::move(frame).value();
  }
  Verdict ReadVerdict() {
    const ReceivedFrame frame = Read();
    EXPECT_EQ(frame.header().type, FrameType::kAck);
    return frame.header().verdict;
  }
  // All chunks of a version, in order.
  std::vector<float> ReadWeights(const Layout& layout, int64_t version) {
    std::vector<float> weights;
    for (const BlockRange chunk : layout.Chunks(layout.all_blocks())) {
      const ReceivedFrame frame = Read();
      EXPECT_EQ(frame.header().type, FrameType::kWeights);
      EXPECT_EQ(frame.header().step, static_cast<uint64_t>(version));
      EXPECT_EQ(frame.header().blocks(), chunk);
      EXPECT_TRUE(frame.PayloadCrcMatches());
      const std::string bytes = frame.PayloadText();
      weights.resize(weights.size() + bytes.size() / sizeof(float));
      std::memcpy(weights.data() + weights.size() - bytes.size() / sizeof(float), bytes.data(),
                  bytes.size());
    }
    return weights;
  }
  // How the server ends the stream, whatever it had still to say.
  Status AwaitEnd() {
    grpc::ByteBuffer message;
    while (stream_.Read(&message)) {
    }
    return stream_.Finish();
  }
  void WritesDone() { EXPECT_TRUE(stream_.WritesDone()); }
  void Cancel() { stream_.TryCancel(); }

 private:
  TensorClientStream stream_;
};

// The machine's clock, turned forward by hand.
class TurnedClock : public Clock {
 public:
  Instant Now() const override { return Real().Now() + Duration(turned_.load()); }
  int64_t UnixMilliseconds() const override { return Real().UnixMilliseconds(); }
  void Turn(Duration by) { turned_ += by.count(); }

 private:
  std::atomic<int64_t> turned_{0};
};

class TensorServiceTest : public testing::Test {
 protected:
  TensorServiceTest() : TensorServiceTest(SlowJobLayout()) {}
  explicit TensorServiceTest(std::shared_ptr<const Layout> layout)
      : layout_(std::move(layout)), slow_(layout_) {
    driver_.Start();
    gate_.OnOrder(SlowJobPlace(layout_));
    service_ = std::make_unique<TensorService>(
        clock_, [this](uint64_t job) { return Find(job); }, &gate_);
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kData);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
  }
  ~TensorServiceTest() override {
    driver_.runtime().Stop();
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  }

  // One job is here, whether it is placed or not; two are in shard_host_test.cc.
  std::shared_ptr<HostedJob> Find(uint64_t job) {
    if (job != kSlowJobId) return nullptr;
    return std::make_shared<HostedJob>(HostedJob{&driver_.metrics(), &driver_.runtime()});
  }

  void Place(uint32_t epoch = 1) {
    EXPECT_EQ(driver_.Place(SlowJobPlace(layout_, epoch)).error, "");
  }
  void Commit() {
    const CommitOrder order = SlowJobCommit(*layout_, slow_.version());
    driver_.runtime().Post(order);
    driver_.Await<AppliedReply>();
    slow_.Apply(order.numbers);
  }
  // Pushes leaves [begin, end) of the open step; every answer must be a yes.
  void PushLeaves(FakeWorker* worker, uint32_t begin, uint32_t end) {
    for (uint32_t leaf = begin; leaf < end; ++leaf) {
      for (const SlowJobFrame& frame : SlowJobFrames(*layout_, slow_.version(), leaf)) {
        ASSERT_TRUE(worker->Write(MessageOf(frame)));
        const Verdict verdict = worker->ReadVerdict();
        EXPECT_TRUE(verdict == Verdict::kStored || verdict == Verdict::kAdded)
            << VerdictName(verdict);
      }
    }
  }

  // Second by second until the service has ended the worker's stream. Seconds that it took.
  int SecondsUntilEnd(FakeWorker* worker) {
    BoundedQueue<bool> ended(1);
    Thread reader("reader", [&] {
      (void)worker->AwaitEnd();
      ended.Push(true);
    });
    int turns = 0;
    while (!ended.PopFor(std::chrono::milliseconds(1)).has_value()) {
      clock_.Turn(std::chrono::seconds(1));
      service_->EndSilentStreams();
      ++turns;
    }
    return turns;
  }

  const std::shared_ptr<const Layout> layout_;
  TurnedClock clock_;
  SlowJob slow_;
  RuntimeDriver driver_;
  TokenGate gate_{Clock::Real()};
  std::unique_ptr<TensorService> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

// More than one chunk.
class TensorServiceLargeTest : public TensorServiceTest {
 protected:
  TensorServiceLargeTest() : TensorServiceTest(SlowJobLayout(18 * int64_t{kBlockElements} + 100)) {}
};

TEST_F(TensorServiceTest, APullOfVersionZeroBringsTheInitialWeights) {
  Place();
  FakeWorker worker(port_, "w-1");

  worker.Pull(*layout_, 0);

  EXPECT_EQ(worker.ReadWeights(*layout_, 0), slow_.weights());
}

TEST_F(TensorServiceLargeTest, AStepOfTwoWorkersIsASlowLoop) {
  Place();
  FakeWorker one(port_, "w-1");
  FakeWorker two(port_, "w-2");
  PushLeaves(&two, 2, 4);
  PushLeaves(&one, 0, 2);
  const PreparedReply prepared = driver_.Await<PreparedReply>();
  one.Pull(*layout_, 1);  // Both wait before there is a version 1.
  two.Pull(*layout_, 1);

  Commit();

  EXPECT_EQ(prepared.gradient_squares,
            SlowJob::BlockSquares(*layout_, SlowJob::MeanGradient(*layout_, 0)));
  EXPECT_EQ(prepared.leaf_chunks, 2 * kSlowJobLeaves);
  EXPECT_EQ(one.ReadWeights(*layout_, 1), slow_.weights());
  EXPECT_EQ(two.ReadWeights(*layout_, 1), slow_.weights());
}

TEST_F(TensorServiceTest, WhoHasTheNewVersionCanPushTheNextStepAtOnce) {
  Place();
  FakeWorker worker(port_, "w-1");
  for (int step = 0; step < 5; ++step) {
    PushLeaves(&worker, 0, kSlowJobLeaves);
    driver_.Await<PreparedReply>();
    worker.Pull(*layout_, step + 1);
    Commit();
    EXPECT_EQ(worker.ReadWeights(*layout_, step + 1), slow_.weights());
  }
}

TEST_F(TensorServiceTest, WhatWasCountedAlreadyIsADuplicate) {
  Place();
  FakeWorker worker(port_, "w-1");
  PushLeaves(&worker, 0, 1);

  for (const SlowJobFrame& frame : SlowJobFrames(*layout_, 0, 0)) {
    worker.Write(MessageOf(frame));
    EXPECT_EQ(worker.ReadVerdict(), Verdict::kDuplicate);
  }
}

TEST_F(TensorServiceTest, AnAcknowledgementEchoesWhatItIsAbout) {
  Place();
  FakeWorker worker(port_, "w-1");
  const SlowJobFrame frame = SlowJobFrames(*layout_, 0, 3)[0];
  worker.Write(MessageOf(frame));

  FrameHeader expected = frame.header;
  expected.type = FrameType::kAck;
  expected.encoding = FrameEncoding::kNone;
  expected.verdict = Verdict::kStored;
  EXPECT_EQ(worker.Read().header(), expected);
}

TEST_F(TensorServiceTest, GradientsOfAnotherStepOrOfAnEpochThatIsOverAreRefused) {
  Place();
  FakeWorker worker(port_, "w-1");
  worker.Write(MessageOf(SlowJobFrames(*layout_, 1, 0)[0]));
  EXPECT_EQ(worker.ReadVerdict(), Verdict::kStep);
  Place(/*epoch=*/2);
  worker.Write(MessageOf(SlowJobFrames(*layout_, 0, 0)[0]));
  EXPECT_EQ(worker.ReadVerdict(), Verdict::kEpoch);
}

TEST_F(TensorServiceTest, FramesOfAnotherJobOrEpochThanTheTokensEndTheStream) {
  Place();
  for (const bool job : {true, false}) {
    SlowJobFrame frame = SlowJobFrames(*layout_, 0, 0)[0];
    if (job) ++frame.header.job;
    if (!job) ++frame.header.epoch;
    FakeWorker worker(port_, "w-1");
    worker.Write(MessageOf(frame));
    EXPECT_EQ(worker.AwaitEnd().code(), Code::kPermissionDenied);
  }
  FakeWorker worker(port_, "w-1");
  worker.Pull(*layout_, 0, /*epoch=*/2);
  EXPECT_EQ(worker.AwaitEnd().code(), Code::kPermissionDenied);
}

TEST_F(TensorServiceTest, NobodyIsReadWithoutAGoodToken) {
  Place();
  FakeWorker none(port_, "w-1", "");
  EXPECT_EQ(none.AwaitEnd().code(), Code::kUnauthenticated);
  std::string token = TokenOf("w-1");
  token.back() = static_cast<char>(token.back() ^ 1);
  EXPECT_EQ(FakeWorker(port_, "w-1", token).AwaitEnd().code(), Code::kUnauthenticated);
  EXPECT_EQ(FakeWorker(port_, "w-1", TokenOf("w-2")).AwaitEnd().code(), Code::kPermissionDenied);
  EXPECT_EQ(FakeWorker(port_, "w-1", TokenOf("w-1", 2)).AwaitEnd().code(), Code::kPermissionDenied);
  // gRPC itself takes no metadata of this size.
  EXPECT_FALSE(FakeWorker(port_, "w-1", std::string(1 << 20, 'x')).AwaitEnd().ok());
}

TEST_F(TensorServiceTest, APayloadThatWasDamagedIsRefusedAndTheStreamGoesOn) {
  Place();
  FakeWorker worker(port_, "w-1");
  const SlowJobFrame frame = SlowJobFrames(*layout_, 0, 0)[0];
  FrameHeader header = frame.header;
  header.payload_crc = 1;
  const ByteSpan payload[] = {AsBytes(frame.payload)};
  worker.Write(MakeStaticFrame(header, payload));

  EXPECT_EQ(worker.ReadVerdict(), Verdict::kChecksum);
  PushLeaves(&worker, 0, 1);
}

TEST_F(TensorServiceTest, NonfiniteLeavesAreAcknowledgedAsSuch) {
  Place();
  FakeWorker worker(port_, "w-1");
  worker.Write(
      MakeSmallFrame(SlowJobHeader(FrameType::kNonfinite, *layout_, 0, {1, 2}), AsBytes("weight")));

  EXPECT_EQ(worker.ReadVerdict(), Verdict::kNonfinite);
}

TEST_F(TensorServiceTest, WithoutAPlacedJobEverythingIsRefused) {
  FakeWorker worker(port_, "w-1");
  worker.Write(MessageOf(SlowJobFrames(*layout_, 0, 0)[0]));
  EXPECT_EQ(worker.ReadVerdict(), Verdict::kLayout);

  worker.Pull(*layout_, 0);
  const ReceivedFrame gone = worker.Read();
  EXPECT_EQ(gone.header().type, FrameType::kGone);
  EXPECT_EQ(gone.header().job, 0u);
}

TEST_F(TensorServiceTest, APullInAnotherEpochIsToldWhereWeAre) {
  Place();
  FakeWorker worker(port_, "w-1");
  PushLeaves(&worker, 0, 1);  // The stream is open.
  Place(/*epoch=*/2);

  worker.Pull(*layout_, 0);

  const ReceivedFrame gone = worker.Read();
  EXPECT_EQ(gone.header().type, FrameType::kGone);
  EXPECT_EQ(gone.header().epoch, 2u);
  EXPECT_EQ(gone.header().step, 0u);
}

TEST_F(TensorServiceTest, AWorkerThatGoesAwayWhileItWaitsBlocksNobody) {
  Place();
  FakeWorker stays(port_, "w-2");
  {
    FakeWorker leaves(port_, "w-1");
    leaves.Pull(*layout_, 1);
    PushLeaves(&leaves, 0, 2);
    leaves.Cancel();
  }
  PushLeaves(&stays, 2, 4);
  driver_.Await<PreparedReply>();
  stays.Pull(*layout_, 1);

  Commit();

  EXPECT_EQ(stays.ReadWeights(*layout_, 1), slow_.weights());
}

TEST_F(TensorServiceLargeTest, AWorkerThatDoesNotReadItsWeightsHoldsUpNoStep) {
  Place();
  FakeWorker stuck(port_, "stuck");
  stuck.Pull(*layout_, 0);
  FakeWorker worker(port_, "w-1");

  for (int step = 0; step < 3; ++step) {
    PushLeaves(&worker, 0, kSlowJobLeaves);
    driver_.Await<PreparedReply>();
    Commit();
  }

  worker.Pull(*layout_, 3);
  EXPECT_EQ(worker.ReadWeights(*layout_, 3), slow_.weights());
}

TEST_F(TensorServiceTest, AWorkerThatIsDoneGetsWhatItAskedForAndAnOk) {
  Place();
  FakeWorker worker(port_, "w-1");
  worker.Pull(*layout_, 0);
  worker.WritesDone();

  EXPECT_EQ(worker.ReadWeights(*layout_, 0), slow_.weights());
  EXPECT_TRUE(worker.AwaitEnd().ok());
}

TEST_F(TensorServiceTest, AStreamBeginsWithAHello) {
  Place();
  FakeWorker worker(port_, "w-1", TokenOf("w-1"));
  worker.Pull(*layout_, 0);

  EXPECT_EQ(worker.AwaitEnd().code(), Code::kInvalidArgument);
}

TEST_F(TensorServiceTest, AHelloNamesTheWorkerOfTheToken) {
  FakeWorker worker(port_, "w-1", TokenOf("w-1"));
  worker.Hello("w-2");

  EXPECT_EQ(worker.AwaitEnd().code(), Code::kInvalidArgument);
}

TEST_F(TensorServiceTest, FramesThatWorkersDoNotSendEndTheStream) {
  for (const FrameType type :
       {FrameType::kHello, FrameType::kWeights, FrameType::kAck, FrameType::kGone}) {
    FakeWorker worker(port_, "w-1");
    FrameHeader header;
    header.type = type;
    worker.Write(MakeSmallFrame(header, type == FrameType::kHello ? AsBytes("w-1") : ByteSpan()));

    EXPECT_EQ(worker.AwaitEnd().code(), Code::kInvalidArgument) << static_cast<int>(type);
  }
}

TEST_F(TensorServiceTest, BytesThatAreNoFrameEndTheStream) {
  FakeWorker worker(port_, "w-1");
  const grpc::Slice bytes(std::string(100, 'x'));

  worker.Write(grpc::ByteBuffer(&bytes, 1));

  EXPECT_FALSE(worker.AwaitEnd().ok());
}

TEST_F(TensorServiceTest, TooManyPullsEndTheStream) {
  Place();
  FakeWorker worker(port_, "w-1");
  for (int64_t version = 1; version <= 5; ++version) worker.Pull(*layout_, version);

  EXPECT_EQ(worker.AwaitEnd().code(), Code::kResourceExhausted);
}

// It shows a good token, and then nothing.
TEST_F(TensorServiceTest, AStreamWithoutAHelloIsEnded) {
  Place();
  FakeWorker mute(port_, "w-1", TokenOf("w-1"));

  EXPECT_GE(SecondsUntilEnd(&mute), 10);
}

TEST_F(TensorServiceTest, ASilentWorkerIsEndedUnlessItWaitsForAVersion) {
  Place();
  FakeWorker waiting(port_, "w-1");
  FakeWorker idle(port_, "w-2");
  waiting.Pull(*layout_, 1);
  PushLeaves(&waiting, 0, 1);  // The answers say that the pull has been seen.
  PushLeaves(&idle, 1, 2);

  EXPECT_GE(SecondsUntilEnd(&idle), 300);

  PushLeaves(&waiting, 2, 3);
}

}  // namespace
}  // namespace drover
