#include "worker/comm/shard_link.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "tests/unit/worker/comm/fake_shard.h"

namespace drover {
namespace {

using Arrival = WeightsInbox::Arrival;

constexpr Duration kPatience = std::chrono::seconds(60);

class ShardLinkTest : public testing::Test {
 protected:
  ShardLink::Options OptionsFor(const std::string& address) {
    ShardLink::Options options;
    options.address = address;
    options.shard = "shard-0";
    options.worker = "worker-0";
    options.token = "first";
    options.job = 5;
    options.epoch = 2;
    options.layout_hash = 77;
    options.on_ack = [this](const FrameHeader& ack) { acks_.TryPush(ack); };
    options.on_weights = [](const ReceivedFrame&) { return Arrival::kMore; };
    options.on_gone = [this](int64_t current) { gone_.TryPush(current); };
    options.on_foreign = [this](const std::string& why) { foreign_.TryPush(why); };
    options.on_retry = [this] { ++retries_; };
    options.on_sent = [this](const FrameHeader& header) { sent_.TryPush(header); };
    return options;
  }
  ShardLink::Options OptionsFor(const FakeShard& shard) { return OptionsFor(shard.address()); }

  static FrameHeader Stats(const ShardLink& link, uint64_t step = 3) {
    FrameHeader header = link.NewHeader(FrameType::kStats);
    header.encoding = FrameEncoding::kI64;
    header.step = step;
    header.leaf_begin = 1;
    header.leaf_end = 2;
    return header;
  }
  static void Push(ShardLink* link, const FrameHeader& header) {
    link->Push(header, MakeSmallFrame(header, AsBytes("four numbers of eight bytes each")));
  }
  // A shard that answers statistics with these verdicts, one after the other.
  static FakeShard::Answer Verdicts(std::vector<Verdict> verdicts) {
    return [verdicts, next = size_t{0}](
               const FakeShard::Frame& frame) mutable -> std::vector<grpc::ByteBuffer> {
      if (frame.header.type != FrameType::kStats || next == verdicts.size()) return {};
      return {AckOf(frame.header, verdicts[next++])};
    };
  }

  BoundedQueue<FrameHeader> acks_{100};
  BoundedQueue<int64_t> gone_{100};
  BoundedQueue<std::string> foreign_{100};
  BoundedQueue<FrameHeader> sent_{100};
  std::atomic<int> retries_ = 0;
};

TEST_F(ShardLinkTest, SaysHelloFirstAndReportsAcknowledgements) {
  FakeShard shard(Verdicts({Verdict::kStored}));
  ShardLink link(OptionsFor(shard));

  Push(&link, Stats(link));

  const std::optional<FrameHeader> ack = acks_.PopFor(kPatience);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->verdict, Verdict::kStored);
  EXPECT_EQ(ack->step, 3u);
  const std::optional<FrameHeader> sent = sent_.PopFor(kPatience);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->type, FrameType::kStats);
  const FakeShard::Frame hello = shard.WaitForFrame(FrameType::kHello, 0);
  EXPECT_EQ(hello.payload.size(), 8u);
  EXPECT_EQ(hello.header.job, 5u);
  EXPECT_EQ(hello.header.epoch, 2u);
}

TEST_F(ShardLinkTest, SendsAgainAfterABreakWhatWasNotAcknowledged) {
  FakeShard shard(Silence);
  ShardLink link(OptionsFor(shard));
  Push(&link, Stats(link));
  link.Pull(9);
  shard.WaitForFrame(FrameType::kStats, 0);
  shard.WaitForFrame(FrameType::kPull, 0);

  shard.BreakStream();

  EXPECT_EQ(shard.WaitForFrame(FrameType::kStats, 1).header.step, 3u);
  EXPECT_EQ(shard.WaitForFrame(FrameType::kPull, 1).header.step, 9u);
  EXPECT_EQ(shard.WaitForFrame(FrameType::kHello, 1).payload.size(), 8u);
  EXPECT_GE(retries_, 1);
}

TEST_F(ShardLinkTest, ShowsTheTokenItHasWhenItDials) {
  FakeShard shard(Silence);
  ShardLink link(OptionsFor(shard));
  shard.WaitForFrame(FrameType::kHello, 0);
  link.SetToken(std::string("sec\0nd", 6));

  shard.BreakStream();

  shard.WaitForFrame(FrameType::kHello, 1);
  EXPECT_EQ(shard.tokens(), (std::vector<std::string>{"first", std::string("sec\0nd", 6)}));
}

TEST_F(ShardLinkTest, WhatIsPushedBeforeTheShardIsThereGoesOutWhenItIs) {
  auto shard = std::make_unique<FakeShard>(Silence);
  const std::string address = shard->address();
  shard.reset();
  ShardLink link(OptionsFor(address));
  Push(&link, Stats(link));
  link.Pull(1);
  link.Pull(2);  // Only the last request counts.

  shard = std::make_unique<FakeShard>(Verdicts({Verdict::kStored}), address);

  EXPECT_TRUE(acks_.PopFor(kPatience).has_value());
  EXPECT_EQ(shard->WaitForFrame(FrameType::kPull, 0).header.step, 2u);
}

TEST_F(ShardLinkTest, AcknowledgedFramesAreNotSentAgain) {
  FakeShard shard(Verdicts({Verdict::kStored}));
  ShardLink link(OptionsFor(shard));
  Push(&link, Stats(link));
  ASSERT_TRUE(acks_.PopFor(kPatience).has_value());

  shard.BreakStream();
  Push(&link, Stats(link, 4));

  EXPECT_EQ(shard.WaitForFrame(FrameType::kStats, 1).header.step, 4u);
}

TEST_F(ShardLinkTest, ForgottenPushesAreNotSentAgain) {
  FakeShard shard(Silence);
  ShardLink link(OptionsFor(shard));
  Push(&link, Stats(link));
  shard.WaitForFrame(FrameType::kStats, 0);
  link.ForgetPushes();

  shard.BreakStream();
  Push(&link, Stats(link, 4));

  EXPECT_EQ(shard.WaitForFrame(FrameType::kStats, 1).header.step, 4u);
}

TEST_F(ShardLinkTest, AnswersToWhatIsForgottenAreKeptFromTheReceiver) {
  FakeShard shard(Silence);
  ShardLink link(OptionsFor(shard));
  Push(&link, Stats(link));
  shard.WaitForFrame(FrameType::kStats, 0);
  link.ForgetPushes();
  Push(&link, Stats(link, 4));
  shard.WaitForFrame(FrameType::kStats, 1);

  shard.Say(AckOf(Stats(link), Verdict::kStored));
  shard.Say(AckOf(Stats(link, 4), Verdict::kDuplicate));
  shard.Say(AckOf(Stats(link, 4), Verdict::kDuplicate));

  const std::optional<FrameHeader> ack = acks_.PopFor(kPatience);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->step, 4u);
}

TEST_F(ShardLinkTest, FrameDamagedOnTheWayIsSentOnceMore) {
  FakeShard shard(Verdicts({Verdict::kChecksum, Verdict::kStored}));
  ShardLink link(OptionsFor(shard));

  Push(&link, Stats(link));

  const std::optional<FrameHeader> ack = acks_.PopFor(kPatience);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->verdict, Verdict::kStored);
}

TEST_F(ShardLinkTest, FrameDamagedInMemoryIsGivenUp) {
  FakeShard shard(Verdicts(std::vector<Verdict>(100, Verdict::kChecksum)));
  ShardLink link(OptionsFor(shard));

  Push(&link, Stats(link));

  const std::optional<FrameHeader> ack = acks_.PopFor(kPatience);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->verdict, Verdict::kChecksum);
  shard.WaitForFrame(FrameType::kStats, ShardLink::kSendsMax - 1);
  EXPECT_EQ(shard.Count(FrameType::kStats), static_cast<size_t>(ShardLink::kSendsMax));
}

TEST_F(ShardLinkTest, DamagedWeightsArePulledAgain) {
  FakeShard shard([](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
    if (frame.header.type != FrameType::kPull) return {};
    FrameHeader weights = frame.header;
    weights.type = FrameType::kWeights;
    return {MakeSmallFrame(weights, AsBytes("0123"))};
  });
  BoundedQueue<int> arrivals(10);
  ShardLink::Options options = OptionsFor(shard);
  options.on_weights = [&, count = 0](const ReceivedFrame&) mutable {
    arrivals.Push(++count);
    return count == 1 ? Arrival::kDamaged : Arrival::kComplete;
  };
  ShardLink link(std::move(options));

  link.Pull(6);

  EXPECT_EQ(arrivals.PopFor(kPatience), 1);
  EXPECT_EQ(arrivals.PopFor(kPatience), 2);
  EXPECT_EQ(shard.WaitForFrame(FrameType::kPull, 1).header.step, 6u);
}

TEST_F(ShardLinkTest, WeightsOfAnotherReleaseAreReportedWithTheShard) {
  FakeShard shard([](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
    if (frame.header.type != FrameType::kPull) return {};
    FrameHeader weights = frame.header;
    weights.type = FrameType::kWeights;
    // An encoding that this build has no name for, on the wire as a later release would send it.
    weights.encoding = static_cast<FrameEncoding>(4);
    return {MakeSmallFrame(weights, AsBytes("0123"))};
  });
  ShardLink link(OptionsFor(shard));

  link.Pull(6);

  const std::optional<std::string> why = foreign_.PopFor(kPatience);
  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("shard/shard-0"), std::string::npos) << *why;
  EXPECT_NE(why->find("encoding is 4"), std::string::npos) << *why;
  EXPECT_NE(why->find("run the same release"), std::string::npos) << *why;
}

TEST_F(ShardLinkTest, VersionThatHasArrivedIsNotPulledAgainAfterABreak) {
  FakeShard shard([](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
    if (frame.header.type != FrameType::kPull || frame.header.step != 6) return {};
    FrameHeader weights = frame.header;
    weights.type = FrameType::kWeights;
    return {MakeSmallFrame(weights, AsBytes("0123"))};
  });
  BoundedQueue<bool> arrived(10);
  ShardLink::Options options = OptionsFor(shard);
  options.on_weights = [&](const ReceivedFrame&) {
    arrived.Push(true);
    return Arrival::kPartComplete;
  };
  ShardLink link(std::move(options));
  link.Pull(6);
  ASSERT_TRUE(arrived.PopFor(kPatience).has_value());

  shard.BreakStream();
  shard.WaitForFrame(FrameType::kHello, 1);
  link.Pull(7);

  EXPECT_EQ(shard.WaitForFrame(FrameType::kPull, 1).header.step, 7u);
}

TEST_F(ShardLinkTest, MessagesThatAreNoFramesOrNotForWorkersBreakTheStream) {
  FakeShard shard(Silence);
  ShardLink link(OptionsFor(shard));
  shard.WaitForFrame(FrameType::kHello, 0);

  const grpc::Slice text("no frame");
  shard.Say(grpc::ByteBuffer(&text, 1));
  shard.WaitForFrame(FrameType::kHello, 1);
  shard.Say(MakeSmallFrame(link.NewHeader(FrameType::kPull)));

  EXPECT_EQ(shard.WaitForFrame(FrameType::kHello, 2).payload.size(), 8u);
}

TEST_F(ShardLinkTest, TellsThatAVersionIsGone) {
  FakeShard shard([](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
    if (frame.header.type != FrameType::kPull) return {};
    return {GoneFrame(frame.header, 12)};
  });
  ShardLink link(OptionsFor(shard));

  link.Pull(3);

  EXPECT_EQ(gone_.PopFor(kPatience), 12);
}

TEST_F(ShardLinkTest, LateAnswerToAnOlderPullDoesNotTouchTheNewOne) {
  FakeShard shard(Silence);
  ShardLink link(OptionsFor(shard));
  link.Pull(3);
  shard.WaitForFrame(FrameType::kPull, 0);
  link.Pull(12);
  const FrameHeader pull = shard.WaitForFrame(FrameType::kPull, 1).header;

  shard.Say(GoneFrame(pull, 12));  // Answers the pull of version 3.
  shard.Say(GoneFrame(pull, 20));  // Answers that of version 12.

  EXPECT_EQ(gone_.PopFor(kPatience), 20);
}

TEST_F(ShardLinkTest, CloseDropsEverything) {
  FakeShard shard(Silence);
  ShardLink link(OptionsFor(shard));
  const auto memory = std::make_shared<std::string>(1 << 20, 'x');
  FrameHeader header = Stats(link);
  const std::array<ByteSpan, 1> payload = {AsBytes(*memory)};
  link.Push(header, MakeOwnedFrame(header, payload, memory));
  shard.WaitForFrame(FrameType::kHello, 0);

  link.Close();
  link.Close();
  link.Push(header, MakeOwnedFrame(header, payload, memory));
  link.Pull(5);

  EXPECT_FALSE(acks_.PopFor(Duration(0)).has_value());
}

}  // namespace
}  // namespace drover
