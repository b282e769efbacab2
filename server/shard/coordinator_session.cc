#include "server/shard/coordinator_session.h"

#include <grpcpp/channel.h>

#include <utility>

#include "common/base/logging.h"
#include "proto/drover/v1/shard.grpc.pb.h"
#include "server/step_messages_proto.h"

namespace drover {
namespace {

// What the coordinator gets to read the last messages.
constexpr Duration kGoodbyePatience = std::chrono::seconds(2);

Session<v1::ShardMessage, v1::ShardOrder>::Options SessionOptions(
    const std::shared_ptr<grpc::Channel>& channel, const ShardIdentity& identity,
    std::function<std::vector<uint64_t>()> jobs, std::function<void()> on_retry) {
  Session<v1::ShardMessage, v1::ShardOrder>::Options options;
  options.open = [stub = std::shared_ptr(v1::ShardService::NewStub(channel))](
                     grpc::ClientContext* context) { return stub->Session(context); };
  v1::RegisterShard* hello = options.hello.mutable_register_();
  hello->set_name(identity.name);
  hello->set_incarnation(identity.incarnation);
  hello->set_address(identity.address);
  hello->set_version(identity.version);
  if (jobs != nullptr) {
    options.complete_hello = [jobs = std::move(jobs)](v1::ShardMessage* message) {
      for (const uint64_t job : jobs()) message->mutable_register_()->add_jobs(job);
    };
  }
  options.heartbeat.mutable_heartbeat();
  options.on_retry = std::move(on_retry);
  return options;
}

}  // namespace

CoordinatorSession::CoordinatorSession(std::shared_ptr<grpc::Channel> channel,
                                       const ShardIdentity& identity,
                                       std::function<std::vector<uint64_t>()> jobs,
                                       std::function<void()> on_retry)
    : session_(SessionOptions(channel, identity, std::move(jobs), std::move(on_retry))) {}

void CoordinatorSession::Start(std::function<void(ShardOrder)> on_order) {
  session_.Start([on_order = std::move(on_order)](const v1::ShardOrder& message) {
    Result<ShardOrder> order = OrderFromProto(message);
    if (order.ok()) {
      on_order(std::move(order).value());
    } else {
      LogError("coordinator: an order is of no use: {}", order.status().message());
    }
  });
}

void CoordinatorSession::Leave() {
  v1::ShardMessage farewell;
  farewell.mutable_leaving();
  session_.Send(std::move(farewell));
  session_.Stop(kGoodbyePatience);
}

void CoordinatorSession::Send(const ShardReply& reply) { session_.Send(ReplyToProto(reply)); }

}  // namespace drover
