// The stream of a shard to its coordinator: a Session that speaks in orders and replies. Replies
// that cannot be sent are dropped: the coordinator asks again. No decisions here. Thread-safe.

#ifndef DROVER_SERVER_SHARD_COORDINATOR_SESSION_H_
#define DROVER_SERVER_SHARD_COORDINATOR_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/rpc/session.h"
#include "proto/drover/v1/shard.pb.h"
#include "server/step_messages.h"

namespace drover {

struct ShardIdentity {
  std::string name;
  uint64_t incarnation = 0;  // Random, of this process.
  std::string address;       // Where workers reach it.
  std::string version;       // Of the program.
};

class CoordinatorSession {
 public:
  // `jobs` (may be empty) is asked, on the session's thread, of which jobs something is here.
  // `on_retry` (may be empty) is told of every stream but the first.
  CoordinatorSession(std::shared_ptr<grpc::Channel> channel, const ShardIdentity& identity,
                     std::function<std::vector<uint64_t>()> jobs = nullptr,
                     std::function<void()> on_retry = nullptr);

  // Dials until Stop. `on_order` is called on one thread, with orders that passed
  // step_messages_proto.h; others are logged and dropped. Once.
  void Start(std::function<void(ShardOrder)> on_order);
  // Ends the stream and returns when no call of `on_order` is under way. Repeatable.
  void Stop() { session_.Stop(); }
  // Says that this process ends, then stops once the coordinator has read all that
  // was sent, after 2 s at the latest.
  void Leave();

  // Never blocks. Dropped while disconnected, or when too many wait.
  void Send(const ShardReply& reply);

  bool connected() const { return session_.connected(); }

 private:
  Session<v1::ShardMessage, v1::ShardOrder> session_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_COORDINATOR_SESSION_H_
