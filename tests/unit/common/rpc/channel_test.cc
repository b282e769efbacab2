#include "common/rpc/channel.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/rpc_method.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "tests/unit/common/rpc/echo_server.h"

namespace drover {
namespace {

using testing::HasSubstr;

grpc::ByteBuffer Zeros(size_t size) {
  const grpc::Slice slice(std::string(size, '\0'));
  return grpc::ByteBuffer(&slice, 1);
}

// Sends one message on a new stream; how the stream ended, kAborted after an echo.
grpc::Status SendOne(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context,
                     const grpc::ByteBuffer& message) {
  const grpc::internal::RpcMethod method(kExchangeMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
                                         channel);
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          channel.get(), method, context));
  grpc::ByteBuffer reply;
  if (stream->Write(message)) stream->WritesDone();
  while (stream->Read(&reply)) {
  }
  return stream->Finish();
}

grpc::Status SendOne(const std::shared_ptr<grpc::Channel>& channel,
                     const grpc::ByteBuffer& message) {
  grpc::ClientContext context;
  return SendOne(channel, &context, message);
}

// Client limits are ours too; this one has none, as an attacker would.
std::shared_ptr<grpc::Channel> LimitlessChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, 1 << 20);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

TEST(ServerTest, SecondServerOnAPortIsRefused) {
  EchoServer first(ServerKind::kData);
  ASSERT_TRUE(first.started());

  EchoServer second(ServerKind::kData, first.port());

  EXPECT_FALSE(second.started());
}

TEST(ServerTest, TakesTheLargestFrameAndNotAByteMore) {
  EchoServer server(ServerKind::kData);
  const auto channel = LimitlessChannel(server.address());

  EXPECT_EQ(SendOne(channel, Zeros(kDataMessageBytesMax)).error_code(), grpc::ABORTED);
  EXPECT_EQ(SendOne(channel, Zeros(kDataMessageBytesMax + 1)).error_code(),
            grpc::RESOURCE_EXHAUSTED);
}

TEST(ServerTest, ControlMessagesEndAtOneMebibyte) {
  EchoServer server(ServerKind::kControl);
  const auto channel = LimitlessChannel(server.address());

  EXPECT_EQ(SendOne(channel, Zeros(1 << 20)).error_code(), grpc::ABORTED);
  EXPECT_EQ(SendOne(channel, Zeros((1 << 20) + 1)).error_code(), grpc::RESOURCE_EXHAUSTED);
}

TEST(ServerTest, RefusesCompressedMessages) {
  EchoServer server(ServerKind::kData);
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);

    const grpc::Status status =
        SendOne(LimitlessChannel(server.address()), &context, Zeros(4 << 20));

    EXPECT_EQ(status.error_code(), grpc::UNIMPLEMENTED) << status.error_message();
  }
}

TEST(ServerTest, RefusesLargeMetadata) {
  EchoServer server(ServerKind::kControl);
  grpc::ClientContext context;
  context.AddMetadata("drover-worker", std::string(kMetadataBytesMax, 'x'));

  const grpc::Status status = SendOne(LimitlessChannel(server.address()), &context, Zeros(1));

  EXPECT_NE(status.error_code(), grpc::ABORTED);
  EXPECT_TRUE(server.service()->peers().empty());
}

TEST(ChannelTest, RefusesToSendMoreThanThePeerTakes) {
  EchoServer server(ServerKind::kControl);

  const grpc::Status status =
      SendOne(MakeChannel(server.address(), ChannelKind::kControl), Zeros((1 << 20) + 1));

  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
}

TEST(ChannelTest, DataChannelsHaveTheirOwnConnections) {
  EchoServer server(ServerKind::kData);
  const auto first = MakeChannel(server.address(), ChannelKind::kData);
  const auto second = MakeChannel(server.address(), ChannelKind::kData);

  EXPECT_EQ(SendOne(first, Zeros(1)).error_code(), grpc::ABORTED);
  EXPECT_EQ(SendOne(second, Zeros(1)).error_code(), grpc::ABORTED);

  const std::vector<std::string> peers = server.service()->peers();
  EXPECT_EQ(std::set<std::string>(peers.begin(), peers.end()).size(), 2u);
}

TEST(ChannelTest, EveryKindConnects) {
  EchoServer server(ServerKind::kData);
  for (const auto kind : {ChannelKind::kControl, ChannelKind::kData, ChannelKind::kUser}) {
    EXPECT_EQ(SendOne(MakeChannel(server.address(), kind), Zeros(1)).error_code(), grpc::ABORTED);
  }
}

TEST(ChannelTest, AbsentServerIsUnavailableAtOnce) {
  int port = 0;
  {
    EchoServer gone(ServerKind::kControl);
    port = gone.port();
  }

  const grpc::Status status =
      SendOne(MakeChannel("127.0.0.1:" + std::to_string(port), ChannelKind::kControl), Zeros(1));

  EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
}

TEST(ChannelTest, PlainTextLeavesTheMachineNever) {
  const grpc::Status status = SendOne(MakeChannel("192.0.2.1:7000", ChannelKind::kData), Zeros(1));

  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error_code(), grpc::ABORTED);
}

TEST(IsLoopbackTest, KnowsAddressesOfThisMachineOnly) {
  for (const char* inside : {"127.0.0.1:7000", "127.8.9.10:1", "localhost:7000", "[::1]:7000",
                             "unix:/run/drover.sock", "unix:relative", "127.0.0.1"}) {
    EXPECT_TRUE(IsLoopback(inside)) << inside;
  }
  for (const char* outside : {"0.0.0.0:7000", "[::]:7000", "10.0.0.1:7000", "example.org:7000", "",
                              ":7000", "128.0.0.1:1", "127.0.0.1.evil.org:1",
                              "localhost.evil.org:1", "[::1", "[::2]:1", "1270.0.1:1"}) {
    EXPECT_FALSE(IsLoopback(outside)) << outside;
  }
}

}  // namespace
}  // namespace drover
