#include "common/rpc/tensor_stream.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "common/base/thread.h"
#include "common/rpc/channel.h"
#include "common/rpc/frame.h"
#include "tests/unit/common/rpc/echo_server.h"

namespace drover {
namespace {

FrameHeader Numbered(uint64_t step) {
  FrameHeader header;
  header.type = FrameType::kPull;
  header.step = step;
  return header;
}

TEST(TensorStreamTest, CarriesFramesBothWays) {
  EchoServer server(ServerKind::kData);
  TensorClientStream stream(MakeChannel(server.address(), ChannelKind::kData), "worker-1", "");
  grpc::ByteBuffer message;

  for (uint64_t step = 0; step < 20; ++step) {
    ASSERT_TRUE(stream.Write(MakeSmallFrame(Numbered(step))));
    ASSERT_TRUE(stream.Read(&message));
    const Result<ReceivedFrame> frame = ParseFrame(message);
    ASSERT_TRUE(frame.ok());
    EXPECT_EQ(frame.value().header().step, step);
  }

  EXPECT_TRUE(stream.WritesDone());
  EXPECT_FALSE(stream.Read(&message));
  const Status status = stream.Finish();
  EXPECT_EQ(status.code(), Code::kAborted);
  EXPECT_EQ(status.message(), "echo is over");
  EXPECT_EQ(server.service()->workers(), std::vector<std::string>{"worker-1"});
}

TEST(TensorStreamTest, ReadsAndWritesFromTwoThreads) {
  EchoServer server(ServerKind::kData);
  TensorClientStream stream(MakeChannel(server.address(), ChannelKind::kData), "worker-1", "");
  const std::string chunk(1 << 20, 'w');
  const ByteSpan payload[] = {AsBytes(chunk)};
  constexpr uint64_t kFrames = 32;

  Thread writer("writer", [&] {
    for (uint64_t step = 0; step < kFrames; ++step) {
      FrameHeader header = Numbered(step);
      header.payload_crc = PayloadCrc(payload);
      EXPECT_TRUE(stream.Write(MakeStaticFrame(header, payload)));
    }
    EXPECT_TRUE(stream.WritesDone());
  });

  grpc::ByteBuffer message;
  uint64_t frames = 0;
  while (stream.Read(&message)) {
    const Result<ReceivedFrame> frame = ParseFrame(message);
    ASSERT_TRUE(frame.ok());
    EXPECT_EQ(frame.value().header().step, frames++);
    EXPECT_TRUE(frame.value().PayloadCrcMatches());
  }
  writer.Join();
  EXPECT_EQ(frames, kFrames);
  EXPECT_EQ(stream.Finish().code(), Code::kAborted);
}

TEST(TensorStreamTest, CancelWakesABlockedReader) {
  EchoServer server(ServerKind::kData);
  TensorClientStream stream(MakeChannel(server.address(), ChannelKind::kData), "worker-1", "");
  grpc::ByteBuffer message;
  ASSERT_TRUE(stream.Write(MakeSmallFrame(Numbered(1))));
  ASSERT_TRUE(stream.Read(&message));

  Thread canceller("canceller", [&] { stream.TryCancel(); });

  EXPECT_FALSE(stream.Read(&message));
  canceller.Join();
  EXPECT_EQ(stream.Finish().code(), Code::kCancelled);
}

TEST(TensorStreamTest, MayBeDroppedAtAnyTime) {
  EchoServer server(ServerKind::kData);
  const auto channel = MakeChannel(server.address(), ChannelKind::kData);
  grpc::ByteBuffer message;

  { TensorClientStream unused(channel, "worker-1", ""); }
  TensorClientStream stream(channel, "worker-2", "");
  ASSERT_TRUE(stream.Write(MakeSmallFrame(Numbered(1))));
}

TEST(TensorStreamTest, EndsWhenTheServerGoes) {
  std::optional<EchoServer> server(std::in_place, ServerKind::kData);
  TensorClientStream stream(MakeChannel(server->address(), ChannelKind::kData), "worker-1", "");
  grpc::ByteBuffer message;
  ASSERT_TRUE(stream.Write(MakeSmallFrame(Numbered(1))));
  ASSERT_TRUE(stream.Read(&message));

  server.reset();

  EXPECT_FALSE(stream.Read(&message));
  EXPECT_FALSE(stream.Finish().ok());
}

}  // namespace
}  // namespace drover
