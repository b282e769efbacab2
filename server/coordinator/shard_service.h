// ShardService over gRPC: one stream per shard, one event per message; orders out. Decides nothing.
// Thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_SHARD_SERVICE_H_
#define DROVER_SERVER_COORDINATOR_SHARD_SERVICE_H_

#include "proto/drover/v1/shard.grpc.pb.h"
#include "server/coordinator/peer_stream.h"

namespace drover {

class ShardService final : public v1::ShardService::Service {
 public:
  explicit ShardService(const PeerHost& host) : host_(host) {}

  grpc::Status Session(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::ShardOrder, v1::ShardMessage>* stream) override;

 private:
  const PeerHost host_;
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_SHARD_SERVICE_H_
