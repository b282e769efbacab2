// Every constant of gRPC that two ends must agree on, and the two functions that apply them, so
// that no program sets an argument of its own. Reasons stand beside the values; they were measured
// with gRPC 1.51.1. Thread-safe: functions only.

#ifndef DROVER_COMMON_RPC_CHANNEL_H_
#define DROVER_COMMON_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "common/rpc/frame_header.h"

namespace grpc {
class Channel;
class ServerBuilder;
}  // namespace grpc

namespace drover {

// Messages. Never unlimited: a peer could make us allocate anything.
inline constexpr int kControlMessageBytesMax = 1 << 20;
inline constexpr int kDataMessageBytesMax =
    static_cast<int>(kFramePayloadBytesMax + kFrameHeaderBytes);
inline constexpr int kMetadataBytesMax = 8192;
inline constexpr int kConcurrentStreamsMax = 256;  // Per connection.

// Keepalive. Off by default in gRPC: a frozen or cut-off peer would look alive for ever. With these
// a daemon's stream fails after 5 s. A server must permit what its clients send, or it answers
// too_many_pings after 10 s of silence (its default minimum is 5 min).
inline constexpr int kKeepaliveTimeMs = 2000;
inline constexpr int kKeepaliveTimeoutMs = 3000;
inline constexpr int kUserKeepaliveTimeMs = 20000;  // Command line and notebooks.
inline constexpr int kUserKeepaliveTimeoutMs = 10000;
inline constexpr int kPingIntervalMinMs = 1000;  // Server.
inline constexpr int kPingStrikesMax = 2;        // Server.

// Heartbeats. A server does not ping: a frozen or cut-off daemon would keep its stream to the
// coordinator for ever. So every daemon says something at least this often, and whoever has said
// nothing for so long is taken for gone. A shard taken for gone by mistake costs a new epoch, no
// work.
inline constexpr int kHeartbeatEveryMs = 1000;
inline constexpr int kHeartbeatTimeoutMs = 5000;
// A coordinator that was itself frozen or busy for longer than this has not listened: the time does
// not count as silence.
inline constexpr int kListeningGapMs = 1000;

// Reconnecting. Defaults 1 s x 1.6 up to 120 s make a recovery below 2 s impossible. gRPC's
// "minimum" back-off is the connect timeout. Below 100 ms counts as 100.
inline constexpr int kReconnectInitialMs = 100;
inline constexpr int kConnectTimeoutMs = 1000;
inline constexpr int kReconnectMaxMs = 1000;
// Ours, see redial.h: a peer that refuses us is not hammered. What ended this long after it was
// dialled was no refusal.
inline constexpr int kRedialRefusedMaxMs = 5000;
inline constexpr int kRedialForgetMs = 10000;
inline constexpr int kDnsIntervalMinMs = 1000;  // Default 30 s keeps stale addresses.

inline constexpr int kHandshakeTimeoutMs = 5000;  // Server; default 120 s.

// Data plane only: the defaults (16 KiB HTTP/2 frames, 8 KiB reads) cost 10 to 30 % of the speed.
inline constexpr int kDataHttp2FrameBytes = 8 << 20;
inline constexpr int kDataReadChunkBytes = 4 << 20;
// Blocks up to this size come from the heap, which keeps this much of what is free: see channel.cc.
inline constexpr int kHeapBlockBytesMax = 16 << 20;
inline constexpr int kHeapKeptBytesMax = 512 << 20;
// Memory that gRPC may hold for one server's connections before it stops reading.
inline constexpr size_t kControlQuotaBytes = size_t{256} << 20;
inline constexpr size_t kDataQuotaBytes = size_t{2} << 30;

enum class ChannelKind {
  kControl,  // Daemons to the coordinator.
  kData,     // Worker to shard. Each channel is a TCP connection of its own.
  kUser,     // Command line and notebooks: control with calm keepalive; retries on UNAVAILABLE.
};
enum class ServerKind { kControl, kData };

// Connects lazily: never blocks, never fails. `address` is "host:port" or "unix:/path". Without TLS
// only for IsLoopback addresses: others give a channel on which every call fails.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, ChannelKind kind);

// Everything but ports, services and credentials.
void ConfigureServer(grpc::ServerBuilder* builder, ServerKind kind);

// Whether `address` ("host:port", "[::1]:port", "unix:path") can only be reached from this machine.
// Names other than "localhost" are not resolved: they count as outside.
bool IsLoopback(const std::string& address);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_CHANNEL_H_
