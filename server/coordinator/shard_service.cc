#include "server/coordinator/shard_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "common/base/parse.h"
#include "common/base/quote.h"
#include "server/step_messages_proto.h"

namespace drover {
namespace {

constexpr size_t kAddressBytesMax = 256;

// HOST:PORT, handed on to workers: no spaces, no schemes that gRPC would resolve elsewhere.
Status CheckShardAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  const bool printable = std::all_of(address.begin(), address.end(), [](char c) {
    return c > 0x20 && c < 0x7F && c != '/' && c != ',';
  });
  if (colon != std::string::npos && colon > 0 && printable && address.size() <= kAddressBytesMax) {
    const Result<int64_t> port = ParseInt(address.substr(colon + 1));
    if (port.ok() && port.value() >= 1 && port.value() <= 65535) return Status();
  }
  return Status(Code::kInvalidArgument,
                fmt::format("RegisterShard: address {}: expected HOST:PORT", Quote(address)));
}

Result<ShardJoined> ReadJoined(SessionId session, const v1::ShardMessage& message) {
  if (!message.has_register_()) {
    return Status(Code::kInvalidArgument,
                  "RegisterShard: expected as the first message of a stream");
  }
  const v1::RegisterShard& joined = message.register_();
  DROVER_RETURN_IF_ERROR(CheckPeerName(joined.name()).Annotate("RegisterShard"));
  DROVER_RETURN_IF_ERROR(CheckShardAddress(joined.address()));
  return ShardJoined{session,
                     joined.name(),
                     joined.incarnation(),
                     joined.address(),
                     {joined.jobs().begin(), joined.jobs().end()}};
}

const std::string& ReleaseOfShard(const v1::ShardMessage& message) {
  return message.register_().version();
}

bool IsShardFarewell(const v1::ShardMessage& message) { return message.has_leaving(); }

Result<std::optional<CoordinatorEvent>> ReadEvent(SessionId session,
                                                  const v1::ShardMessage& message) {
  if (message.has_heartbeat() || IsShardFarewell(message)) return std::optional<CoordinatorEvent>();
  Result<ShardReply> reply = ReplyFromProto(message);
  if (!reply.ok()) return reply.status();
  return std::optional<CoordinatorEvent>(ShardReplied{session, std::move(reply).value()});
}

constexpr PeerProtocol<v1::ShardMessage, ShardJoined> kShardProtocol = {
    "shard", PeerKind::kShard, &ReadJoined, &ReleaseOfShard, &ReadEvent, &IsShardFarewell};

}  // namespace

grpc::Status ShardService::Session(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::ShardOrder, v1::ShardMessage>* stream) {
  return ServePeer<ShardLeft>(host_, kShardProtocol, context, stream);
}

}  // namespace drover
