#include "worker/comm/shard_link.h"

#include <gtest/gtest.h>

#include "common/base/bounded_queue.h"
#include "tests/unit/worker/comm/fake_shard.h"

namespace drover {
namespace {

ShardLink::Options OptionsFor(const FakeShard& shard) {
  ShardLink::Options options;
  options.address = shard.address();
  options.shard = "shard-0";
  options.worker = "worker-0";
  options.job = 5;
  options.epoch = 2;
  options.layout_hash = 77;
  options.on_ack = [](const FrameHeader&) {};
  options.on_weights = [](const ReceivedFrame&) { return true; };
  options.on_gone = [](int64_t) {};
  return options;
}

FrameHeader Stats(const ShardLink& link) {
  FrameHeader header = link.NewHeader(FrameType::kStats);
  header.encoding = FrameEncoding::kI64;
  header.step = 3;
  header.leaf_begin = 1;
  header.leaf_end = 2;
  return header;
}

grpc::ByteBuffer FrameOf(const FrameHeader& header) {
  return MakeSmallFrame(header, AsBytes("four numbers of eight bytes each"));
}

TEST(ShardLinkTest, SaysHelloFirstAndReportsAcknowledgements) {
  FakeShard shard([](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
    if (frame.header.type != FrameType::kStats) return {};
    return {AckOf(frame.header, Verdict::kStored)};
  });
  BoundedQueue<FrameHeader> acks(8);
  ShardLink::Options options = OptionsFor(shard);
  options.on_ack = [&acks](const FrameHeader& ack) { acks.Push(ack); };
  ShardLink link(std::move(options));

  link.Push(Stats(link), FrameOf(Stats(link)));

  const std::optional<FrameHeader> ack = acks.PopFor(std::chrono::seconds(10));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->verdict, Verdict::kStored);
  EXPECT_EQ(ack->step, 3u);
  EXPECT_EQ(shard.WaitForFrame(FrameType::kHello, 0).payload.size(), 8u);
}

TEST(ShardLinkTest, SendsAgainAfterABreakWhatWasNotAcknowledged) {
  FakeShard shard([](const FakeShard::Frame&) { return std::vector<grpc::ByteBuffer>(); });
  ShardLink link(OptionsFor(shard));
  link.Push(Stats(link), FrameOf(Stats(link)));
  link.Pull(9);
  shard.WaitForFrame(FrameType::kStats, 0);
  shard.WaitForFrame(FrameType::kPull, 0);

  shard.BreakStream();

  EXPECT_EQ(shard.WaitForFrame(FrameType::kStats, 1).header.step, 3u);
  EXPECT_EQ(shard.WaitForFrame(FrameType::kPull, 1).header.step, 9u);
}

TEST(ShardLinkTest, ForgottenPushesAreNotSentAgain) {
  FakeShard shard([](const FakeShard::Frame&) { return std::vector<grpc::ByteBuffer>(); });
  ShardLink link(OptionsFor(shard));
  link.Push(Stats(link), FrameOf(Stats(link)));
  shard.WaitForFrame(FrameType::kStats, 0);
  link.ForgetPushes();

  shard.BreakStream();
  link.Pull(4);  // Comes behind whatever is sent again.

  EXPECT_EQ(shard.WaitForFrame(FrameType::kPull, 0).header.step, 4u);
  FrameHeader other = Stats(link);
  other.step = 4;
  link.Push(other, FrameOf(other));
  EXPECT_EQ(shard.WaitForFrame(FrameType::kStats, 1).header.step, 4u);
}

TEST(ShardLinkTest, FrameDamagedOnTheWayIsSentOnceMore) {
  bool first = true;
  FakeShard shard([&first](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
    if (frame.header.type != FrameType::kStats) return {};
    const Verdict verdict = first ? Verdict::kChecksum : Verdict::kStored;
    first = false;
    return {AckOf(frame.header, verdict)};
  });
  BoundedQueue<Verdict> acks(8);
  ShardLink::Options options = OptionsFor(shard);
  options.on_ack = [&acks](const FrameHeader& ack) { acks.Push(ack.verdict); };
  ShardLink link(std::move(options));

  link.Push(Stats(link), FrameOf(Stats(link)));

  EXPECT_EQ(acks.PopFor(std::chrono::seconds(10)), Verdict::kStored);
}

TEST(ShardLinkTest, TellsThatAVersionIsGone) {
  FakeShard shard([](const FakeShard::Frame& frame) -> std::vector<grpc::ByteBuffer> {
    if (frame.header.type != FrameType::kPull) return {};
    FrameHeader gone = frame.header;
    gone.type = FrameType::kGone;
    gone.step = 12;
    return {MakeSmallFrame(gone)};
  });
  BoundedQueue<int64_t> versions(8);
  ShardLink::Options options = OptionsFor(shard);
  options.on_gone = [&versions](int64_t current) { versions.Push(current); };
  ShardLink link(std::move(options));

  link.Pull(3);

  EXPECT_EQ(versions.PopFor(std::chrono::seconds(10)), 12);
}

}  // namespace
}  // namespace drover
