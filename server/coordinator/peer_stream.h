// One bidirectional stream of a worker or shard, served with blocking calls: the caller's thread
// reads, a second one writes what the session's queue holds. The whole life of a stream, for
// worker_service.cc and shard_service.cc.

#ifndef DROVER_SERVER_COORDINATOR_PEER_STREAM_H_
#define DROVER_SERVER_COORDINATOR_PEER_STREAM_H_

#include <fmt/format.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/base/quote.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "common/rpc/channel.h"
#include "common/rpc/refusal_log.h"
#include "common/rpc/status_grpc.h"
#include "common/rpc/transport.h"
#include "server/coordinator/event_sink.h"
#include "server/coordinator/peer_sessions.h"

namespace drover {

// How long a peer has to say who it is.
inline constexpr std::chrono::seconds kRegisterTimeout{10};
// How long one that has may then say nothing.
inline constexpr std::chrono::milliseconds kSilenceTimeout{kHeartbeatTimeoutMs};
// How long a finished stream may take to write what is left.
inline constexpr std::chrono::seconds kStreamDrainTimeout{1};

// Something that happens once, to be waited for. Thread-safe.
class Occasion {
 public:
  void Set() DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    happened_ = true;
    condition_.NotifyAll();
  }
  // False when it has not happened within `timeout`.
  bool WaitFor(std::chrono::nanoseconds timeout) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (!happened_) {
      if (!condition_.WaitFor(&mutex_, timeout)) return happened_;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar condition_;
  bool happened_ DROVER_GUARDED_BY(mutex_) = false;
};

// What every stream needs; all outlive it.
struct PeerHost {
  EventSink* sink;
  PeerSessions* sessions;
  const Clock* clock;
  // Of callers whose certificate does not fit what they say.
  RefusalLog* refusals = nullptr;                         // May be null.
  std::function<void(AuthFailure)> on_refused = nullptr;  // May be empty.
  std::function<void()> on_malformed = nullptr;  // A message broke its rules. May be empty.
  std::string release = {};                      // Ours: peers of another one are refused.
};

// Two releases may read one message in two ways and round one number in two ways.
inline Status CheckRelease(const PeerHost& host, const char* role, const std::string& name,
                           const std::string& release) {
  if (release == host.release) return Status();
  return Status(Code::kFailedPrecondition,
                fmt::format("{} {} is of release {}, the coordinator of {}: run the same release "
                            "everywhere",
                            role, name, Quote(release), Quote(host.release)));
}

// With TLS a peer's name is the one in its certificate, or begins with it: kPermissionDenied that
// names both. Without TLS every name will do.
inline Status CheckCertificateName(const PeerHost& host, const grpc::ServerContext& context,
                                   const char* role, const std::string& name) {
  const std::optional<Identity> certificate = CallerIdentity(context, nullptr);
  if (!certificate.has_value() || MayUseName(certificate->name, name)) return Status();
  Status status(
      Code::kPermissionDenied,
      fmt::format("{} {} has a certificate of {}: give it --name {}, a name that begins "
                  "with {}-, or a certificate of its own",
                  role, name, ToString(*certificate), certificate->name, certificate->name));
  if (host.on_refused != nullptr) host.on_refused(AuthFailure::kForbidden);
  if (host.refusals != nullptr) {
    host.refusals->Write("Session", DescribeCaller(context, nullptr), AuthFailure::kForbidden,
                         status);
  }
  return status;
}

// One stream more than may be.
inline Status RefuseStream(const PeerHost& host, const grpc::ServerContext& context,
                           const char* role, size_t limit) {
  Status status(Code::kResourceExhausted,
                fmt::format("this coordinator has {} {}s already, and takes no more: end some, or "
                            "give some to another coordinator",
                            limit, role));
  if (host.on_refused != nullptr) host.on_refused(AuthFailure::kTooMany);
  if (host.refusals != nullptr) {
    host.refusals->Write("Session", DescribeCaller(context, nullptr), AuthFailure::kTooMany,
                         status);
  }
  return status;
}

// How one kind of peer speaks. Joined has a `name`; Left is {session, reason}.
template <typename Message, typename Joined>
struct PeerProtocol {
  const char* role;
  PeerKind kind;
  Result<Joined> (*read_joined)(SessionId, const Message&);
  const std::string& (*release_of)(const Message&);  // Of what read_joined has accepted.
  Result<std::optional<CoordinatorEvent>> (*read_event)(SessionId, const Message&);
  bool (*is_farewell)(const Message&);  // Whether its process has been told to end.
};

inline LogPlace PlaceOf(std::string_view role, const std::string& name) {
  LogPlace place;
  (role == "shard" ? place.shard : place.worker) = name;
  return place;
}

// Reads and writes until the peer goes, the session is closed or `on_message` refuses a message;
// its status then.
template <typename Order, typename Message>
Status PumpStream(grpc::ServerContext* context, grpc::ServerReaderWriter<Order, Message>* stream,
                  PeerSession* session, const std::function<Status(const Message&)>& on_message) {
  Occasion written;
  Thread writer("peer-writer", [&] {
    while (const std::optional<PeerOrder> order = session->NextOrder()) {
      const Order* message = std::get_if<Order>(&*order);
      if (message == nullptr || !stream->Write(*message)) break;
    }
    written.Set();
  });
  Status status;
  Message message;
  while (status.ok() && stream->Read(&message)) status = on_message(message);
  session->CloseOrders();
  // A peer that does not read would hold the writer for ever.
  if (!written.WaitFor(kStreamDrainTimeout)) context->TryCancel();
  writer.Join();
  return status;
}

template <typename Left, typename Order, typename Message, typename Joined>
grpc::Status ServePeer(const PeerHost& host, const PeerProtocol<Message, Joined>& protocol,
                       grpc::ServerContext* context,
                       grpc::ServerReaderWriter<Order, Message>* stream) {
  const Status going_down(Code::kUnavailable, "the coordinator is going down");
  PeerSession session(host.sessions, protocol.kind, host.clock->Now() + kRegisterTimeout,
                      [context] { context->TryCancel(); });
  if (!session.admitted()) {
    return ToGrpc(RefuseStream(host, *context, protocol.role, host.sessions->limit(protocol.kind)));
  }
  Message first;
  if (!stream->Read(&first)) return grpc::Status::OK;
  session.Heard(host.clock->Now() + kSilenceTimeout);
  Result<Joined> joined = protocol.read_joined(session.id(), first);
  if (!joined.ok()) {
    LogWarning("{} refused peer={} reason=\"{}\"", protocol.role, context->peer(),
               joined.status().message());
    if (host.on_malformed != nullptr) host.on_malformed();
    return ToGrpc(joined.status());
  }
  const Status named = CheckCertificateName(host, *context, protocol.role, joined.value().name);
  if (!named.ok()) return ToGrpc(named);
  const Status matching =
      CheckRelease(host, protocol.role, joined.value().name, protocol.release_of(first));
  if (!matching.ok()) {
    LogWarning("refused peer={} reason=\"{}\"", context->peer(), matching.message());
    return ToGrpc(matching);
  }
  const LogPlace place = PlaceOf(protocol.role, joined.value().name);
  bool farewell = false;
  LogInfo(place, "joined session={} peer={}", session.id(), context->peer());
  if (!host.sink->Post(std::move(joined).value())) return ToGrpc(going_down);

  const Status status =
      PumpStream<Order, Message>(context, stream, &session, [&](const Message& message) -> Status {
        session.Heard(host.clock->Now() + kSilenceTimeout);
        farewell = farewell || protocol.is_farewell(message);
        Result<std::optional<CoordinatorEvent>> event = protocol.read_event(session.id(), message);
        if (!event.ok()) {
          LogWarning(place, "sent a message that is refused: {}", event.status().message());
          if (host.on_malformed != nullptr) host.on_malformed();
          return event.status();
        }
        if (!event.value().has_value()) return Status();
        return host.sink->Post(*std::move(event).value()) ? Status() : going_down;
      });
  std::string reason = session.close_reason();
  if (reason.empty()) {
    reason = !status.ok() ? status.message() : farewell ? "it was told to end" : "its stream ended";
  }
  LogInfo(place, "left session={} reason=\"{}\"", session.id(), reason);
  host.sink->Post(Left{session.id(), reason});
  return ToGrpc(status);
}

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_PEER_STREAM_H_
