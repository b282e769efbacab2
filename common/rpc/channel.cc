#include "common/rpc/channel.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>
#include <malloc.h>

#include "common/rpc/channel_security.h"

namespace drover {
namespace {

// Retries of short calls that the server has not begun. Streams and chunks resume in our own code,
// because the shard recognises duplicates.
constexpr char kUserServiceConfig[] = R"({"methodConfig": [{
    "name": [{"service": "drover.v1.JobService"}],
    "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "2s",
                    "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]})";

// gRPC takes a fresh buffer for each read of the data plane. Given back to the kernel every time,
// as malloc does with blocks of this size, its pages are zeroed and mapped again for each frame,
// which costs as much as all the rest of the transport. Process-wide; the first data channel or
// server decides.
bool KeepReadBuffers() {
  return mallopt(M_MMAP_THRESHOLD, kHeapBlockBytesMax) != 0 &&
         mallopt(M_TRIM_THRESHOLD, kHeapKeptBytesMax) != 0 &&
         mallopt(M_TOP_PAD, kHeapBlockBytesMax) != 0;
}

void KeepReadBuffersOnce() {
  // Whether it worked changes speed only.
  [[maybe_unused]] static const bool kept = KeepReadBuffers();
}

int MessageBytesMax(bool data) { return data ? kDataMessageBytesMax : kControlMessageBytesMax; }

void SetDataArguments(grpc::ChannelArguments* arguments) {
  arguments->SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kDataHttp2FrameBytes);
  arguments->SetInt(GRPC_ARG_TCP_READ_CHUNK_SIZE, kDataReadChunkBytes);
  arguments->SetInt(GRPC_ARG_TCP_MIN_READ_CHUNK_SIZE, kDataReadChunkBytes);
  arguments->SetInt(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kDataReadChunkBytes);
  // Channels with equal arguments to one address would otherwise share one connection.
  arguments->SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
}

grpc::ChannelArguments ChannelArgumentsFor(ChannelKind kind) {
  const bool user = kind == ChannelKind::kUser;
  const int message_bytes_max = MessageBytesMax(kind == ChannelKind::kData);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(message_bytes_max);
  arguments.SetMaxSendMessageSize(message_bytes_max);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, user ? kUserKeepaliveTimeMs : kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   user ? kUserKeepaliveTimeoutMs : kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // No limit.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectInitialMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kDnsIntervalMinMs);
  // http_proxy of the environment must not decide where gradients go.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (kind == ChannelKind::kData) SetDataArguments(&arguments);
  if (user) arguments.SetServiceConfigJSON(kUserServiceConfig);
  return arguments;
}

// Without the port and the brackets of IPv6.
std::string HostOf(const std::string& address) {
  if (address.starts_with("[")) {
    const size_t end = address.find(']');
    return end == std::string::npos ? "" : address.substr(1, end - 1);
  }
  return address.substr(0, address.find(':'));
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, ChannelKind kind,
                                           const ChannelSecurity& security) {
  if (kind == ChannelKind::kData) KeepReadBuffersOnce();
  const grpc::ChannelArguments arguments = ChannelArgumentsFor(kind);
  if (security.credentials != nullptr) {
    return grpc::CreateCustomChannel(address, security.credentials, arguments);
  }
  if (!security.plain_text_anywhere && !IsLoopback(address)) {
    // A lame channel: its calls fail at once with a message that says why.
    return grpc::CreateCustomChannel("drover-refuses-plain-text-to:" + address, nullptr, arguments);
  }
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, ChannelKind kind) {
  return MakeChannel(address, kind, ChannelSecurity());
}

void ConfigureServer(grpc::ServerBuilder* builder, ServerKind kind) {
  const bool data = kind == ServerKind::kData;
  if (data) KeepReadBuffersOnce();
  builder->SetMaxReceiveMessageSize(MessageBytesMax(data));
  builder->SetMaxSendMessageSize(MessageBytesMax(data));
  // With the default a zombie shard and its replacement would share one port's connections.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kConcurrentStreamsMax);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kPingIntervalMinMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kPingStrikesMax);
  // Gradients do not compress, and half a megabyte of gzip would unfold to 512 MiB before the size
  // limit is looked at.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  if (data) {
    builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kDataHttp2FrameBytes);
    builder->AddChannelArgument(GRPC_ARG_TCP_READ_CHUNK_SIZE, kDataReadChunkBytes);
    builder->AddChannelArgument(GRPC_ARG_TCP_MIN_READ_CHUNK_SIZE, kDataReadChunkBytes);
    builder->AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kDataReadChunkBytes);
  }
  grpc::ResourceQuota quota(data ? "drover-data" : "drover-control");
  quota.Resize(data ? kDataQuotaBytes : kControlQuotaBytes);
  builder->SetResourceQuota(quota);
}

bool IsLoopback(const std::string& address) {
  if (address.starts_with("unix:")) return true;
  const std::string host = HostOf(address);
  if (host == "localhost") return true;
  in_addr ip4;
  if (inet_pton(AF_INET, host.c_str(), &ip4) == 1) return (ntohl(ip4.s_addr) >> 24) == 127;
  in6_addr ip6;
  return inet_pton(AF_INET6, host.c_str(), &ip6) == 1 && IN6_IS_ADDR_LOOPBACK(&ip6);
}

}  // namespace drover
