// WorkerService over gRPC: one stream per worker, one event per message; orders out. Decides
// nothing. Thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_WORKER_SERVICE_H_
#define DROVER_SERVER_COORDINATOR_WORKER_SERVICE_H_

#include "proto/drover/v1/worker.grpc.pb.h"
#include "server/coordinator/peer_stream.h"

namespace drover {

class WorkerService final : public v1::WorkerService::Service {
 public:
  explicit WorkerService(const PeerHost& host) : host_(host) {}

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::WorkerOrder, v1::WorkerMessage>* stream) override;

 private:
  const PeerHost host_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_WORKER_SERVICE_H_
