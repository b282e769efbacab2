// The stream of a shard to its coordinator, held open for as long as the shard lives: registers,
// hands on orders, sends replies, dials again when it breaks. Replies that cannot be sent are
// dropped: the coordinator asks again. No decisions here. Thread-safe.

#ifndef DROVER_SERVER_SHARD_COORDINATOR_SESSION_H_
#define DROVER_SERVER_SHARD_COORDINATOR_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/bounded_queue.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "server/step_messages.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace drover {

struct ShardIdentity {
  std::string name;
  uint64_t incarnation = 0;  // Random, of this process.
  std::string address;       // Where workers reach it.
  std::string version;       // Of the program.
};

class CoordinatorSession {
 public:
  CoordinatorSession(std::shared_ptr<grpc::Channel> channel, ShardIdentity identity);
  // Stops.
  ~CoordinatorSession();

  // Dials until Stop. `on_order` is called on one thread, with orders that passed
  // step_messages_proto.h; others are logged and dropped. Once.
  void Start(std::function<void(ShardOrder)> on_order);
  // Ends the stream and returns when no call of `on_order` is under way. Repeatable.
  void Stop() DROVER_EXCLUDES(mutex_);

  // Never blocks. Dropped while disconnected, or when kRepliesMax wait.
  void Send(const ShardReply& reply) DROVER_EXCLUDES(mutex_);

  bool connected() const DROVER_EXCLUDES(mutex_);

 private:
  static constexpr size_t kRepliesMax = 64;

  struct Connection;

  void Run();
  // One stream from its begin to its end: why it ended, and whether an order came.
  Status RunStream(bool* useful);
  bool WaitUntilStopped(int milliseconds) DROVER_EXCLUDES(mutex_);

  const std::shared_ptr<grpc::Channel> channel_;
  const ShardIdentity identity_;
  std::function<void(ShardOrder)> on_order_;

  mutable Mutex mutex_;
  CondVar stopped_changed_;
  bool stopped_ DROVER_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Connection> connection_ DROVER_GUARDED_BY(mutex_);  // Null while disconnected.

  Thread thread_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_COORDINATOR_SESSION_H_
