// The data plane of a shard: one stream per worker connection. The thread that reads a stream adds
// its gradients straight from the received bytes and queues the answers; a second thread writes
// them, and the versions that the worker pulled. A worker that does not read its answers is not
// read either. No decisions here: the accumulator judges frames, the publisher answers pulls.
// Thread-safe.
//
// Who may not open a stream is told so before anything is read (token_gate.h).
//
// What ends a stream: a frame of another job or epoch than its token's, with PERMISSION_DENIED; a
// message that is no frame, a frame that workers do not send, or any frame
// before the hello, with INVALID_ARGUMENT (DATA_LOSS when bytes were damaged on the way); too many
// pulls, with RESOURCE_EXHAUSTED. Everything else is answered in the stream.

#ifndef DROVER_SERVER_SHARD_TENSOR_SERVICE_H_
#define DROVER_SERVER_SHARD_TENSOR_SERVICE_H_

#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/rpc/frame.h"
#include "common/rpc/tensor_stream.h"
#include "server/shard/shard_metrics.h"
#include "server/shard/shard_runtime.h"
#include "server/shard/stream_outbox.h"
#include "server/shard/token_gate.h"

namespace drover {

class TensorService : public TensorServiceBase {
 public:
  // All outlive the server that this is registered with.
  TensorService(const Clock& clock, ShardRuntime* runtime, ShardMetrics* metrics, TokenGate* gate);

  grpc::Status Exchange(grpc::ServerContext* context, TensorServerStream* stream) override;

 private:
  // Who opened a stream, and what his token allows.
  struct Guest {
    TokenGate::Visitor visitor;
    JobClaims claims;
  };
  // Until the worker has ended its side (OK) or broken a rule.
  Status ReadAll(TensorServerStream* stream, const Guest& guest,
                 const std::shared_ptr<StreamOutbox>& outbox);
  Status ReadHello(TensorServerStream* stream, const std::string& worker);
  Status CheckFrame(const Guest& guest, const FrameHeader& header, uint8_t verb);
  Status OnPull(const FrameHeader& header, const std::shared_ptr<StreamOutbox>& outbox);
  void OnGradient(const ReceivedFrame& frame, const std::string& worker, StreamOutbox* outbox);
  void WriteAll(TensorServerStream* stream, StreamOutbox* outbox);

  const Clock& clock_;
  ShardRuntime* const runtime_;
  ShardMetrics* const metrics_;
  TokenGate* const gate_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_TENSOR_SERVICE_H_
