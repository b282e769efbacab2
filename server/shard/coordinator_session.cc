#include "server/shard/coordinator_session.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <utility>

#include "common/base/logging.h"
#include "common/rpc/channel.h"
#include "common/rpc/status_grpc.h"
#include "proto/drover/v1/shard.grpc.pb.h"
#include "server/step_messages_proto.h"

namespace drover {

// What belongs to one stream; Send may still hold it when the stream is over.
struct CoordinatorSession::Connection {
  grpc::ClientContext context;
  BoundedQueue<v1::ShardMessage> replies{kRepliesMax};
  std::atomic<bool> registered = false;
};

CoordinatorSession::CoordinatorSession(std::shared_ptr<grpc::Channel> channel,
                                       ShardIdentity identity)
    : channel_(std::move(channel)), identity_(std::move(identity)) {}

CoordinatorSession::~CoordinatorSession() { Stop(); }

void CoordinatorSession::Start(std::function<void(ShardOrder)> on_order) {
  on_order_ = std::move(on_order);
  thread_ = Thread("coordinator", [this] { Run(); });
}

void CoordinatorSession::Stop() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    stopped_changed_.NotifyAll();
    if (connection_ != nullptr) connection_->context.TryCancel();
  }
  thread_.Join();
}

bool CoordinatorSession::connected() const {
  MutexLock lock(&mutex_);
  return connection_ != nullptr && connection_->registered;
}

void CoordinatorSession::Send(const ShardReply& reply) {
  std::shared_ptr<Connection> connection;
  {
    MutexLock lock(&mutex_);
    connection = connection_;
  }
  if (connection == nullptr || !connection->registered) return;
  if (!connection->replies.TryPush(ReplyToProto(reply))) {
    LogWarning("coordinator does not read: a reply is dropped");
  }
}

bool CoordinatorSession::WaitUntilStopped(int milliseconds) {
  MutexLock lock(&mutex_);
  while (!stopped_) {
    if (!stopped_changed_.WaitFor(&mutex_, std::chrono::milliseconds(milliseconds))) break;
  }
  return stopped_;
}

void CoordinatorSession::Run() {
  int wait_ms = 0;
  std::string told;  // The same reason is logged once.
  while (!WaitUntilStopped(wait_ms)) {
    bool useful = false;
    const Status status = RunStream(&useful);
    wait_ms = useful ? kReconnectInitialMs
                     : std::clamp(wait_ms * 2, kReconnectInitialMs, kReconnectMaxMs);
    if (useful) told.clear();
    if (WaitUntilStopped(0)) return;
    if (std::string reason = status.ToString(); reason != told) {
      LogWarning("coordinator: stream ended, dialling again: {}", reason);
      told = std::move(reason);
    }
  }
}

Status CoordinatorSession::RunStream(bool* useful) {
  const auto connection = std::make_shared<Connection>();
  {
    MutexLock lock(&mutex_);
    if (stopped_) return Status(Code::kCancelled, "stopped");
    connection_ = connection;  // From here on Stop cancels it.
  }
  const auto stub = v1::ShardService::NewStub(channel_);
  const auto stream = stub->Session(&connection->context);
  v1::ShardMessage hello;
  hello.mutable_register_()->set_name(identity_.name);
  hello.mutable_register_()->set_incarnation(identity_.incarnation);
  hello.mutable_register_()->set_address(identity_.address);
  hello.mutable_register_()->set_version(identity_.version);
  if (!stream->Write(hello)) return FromGrpc(stream->Finish());
  connection->registered = true;
  Thread writer("coord-write", [&] {
    while (const std::optional<v1::ShardMessage> reply = connection->replies.Pop()) {
      if (!stream->Write(*reply)) break;
    }
    connection->replies.Close();
  });
  v1::ShardOrder message;
  while (stream->Read(&message)) {
    *useful = true;
    Result<ShardOrder> order = OrderFromProto(message);
    if (order.ok()) {
      on_order_(std::move(order).value());
    } else {
      LogError("coordinator: an order is of no use: {}", order.status().message());
    }
  }
  {
    MutexLock lock(&mutex_);
    connection_.reset();
  }
  connection->replies.Close();
  // A writer in the middle of a message to a coordinator that does not read.
  connection->context.TryCancel();
  writer.Join();
  return FromGrpc(stream->Finish());
}

}  // namespace drover
