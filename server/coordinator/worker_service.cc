#include "server/coordinator/worker_service.h"

#include "server/coordinator/worker_messages_proto.h"

namespace drover {
namespace {

const std::string& ReleaseOfWorker(const v1::WorkerMessage& message) {
  return message.register_().version();
}

bool IsWorkerFarewell(const v1::WorkerMessage& message) { return message.has_leaving(); }

constexpr PeerProtocol<v1::WorkerMessage, WorkerJoined> kWorkerProtocol = {
    "worker",         PeerKind::kWorker,     &JoinedFromProto,
    &ReleaseOfWorker, &WorkerEventFromProto, &IsWorkerFarewell};

}  // namespace

grpc::Status WorkerService::Session(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::WorkerOrder, v1::WorkerMessage>* stream) {
  return ServePeer<WorkerLeft>(host_, kWorkerProtocol, context, stream);
}

}  // namespace drover
