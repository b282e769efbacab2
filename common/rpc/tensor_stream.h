// TensorService.Exchange, the data plane: a bidirectional stream of frames as raw messages, never
// protobuf (whose `bytes` field copies). This file only opens and serves streams; frame.h says what
// is in a message. The only user of gRPC's internal classes.

#ifndef DROVER_COMMON_RPC_TENSOR_STREAM_H_
#define DROVER_COMMON_RPC_TENSOR_STREAM_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <string>

#include "common/base/status.h"

namespace drover {

inline constexpr char kExchangeMethod[] = "/drover.v1.TensorService/Exchange";
// Metadata of a stream: the worker's name, and the token of its job as bytes (job_token.h).
inline constexpr char kWorkerMetadata[] = "drover-worker";
inline constexpr char kJobTokenMetadata[] = "drover-job-token-bin";

// One stream as the server sees it. Read by one thread at a time and written by one at a time; the
// two may differ. Both return false once the stream is over.
using TensorServerStream = grpc::ServerReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

class TensorServiceBase : public grpc::Service {
 public:
  TensorServiceBase();

  // Called on a thread of its own per stream; the stream ends when this returns. No other thread
  // may use `stream` after that. context->TryCancel() from any thread wakes a blocked Read or
  // Write.
  virtual grpc::Status Exchange(grpc::ServerContext* context, TensorServerStream* stream) = 0;
};

// One stream as the worker sees it. One reader and one writer thread at a time; TryCancel from any.
class TensorClientStream {
 public:
  // Never blocks: what is wrong shows in Read, Write and Finish. `worker` (printable ASCII) and the
  // token go along as metadata, so that a shard can refuse before it reads anything.
  TensorClientStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& worker,
                     const std::string& job_token);
  // Cancels a stream that was not finished.
  ~TensorClientStream();
  TensorClientStream(const TensorClientStream&) = delete;
  TensorClientStream& operator=(const TensorClientStream&) = delete;

  bool Write(const grpc::ByteBuffer& message);
  // Blocks until a message came or the stream is over (false).
  bool Read(grpc::ByteBuffer* message);
  // No writes after this; the server's Read returns false.
  bool WritesDone();
  // Once, after Read returned false and no other call runs: why the stream ended.
  Status Finish();
  void TryCancel();

 private:
  grpc::ClientContext context_;
  const std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream_;
  bool finished_ = false;
};

}  // namespace drover

#endif  // DROVER_COMMON_RPC_TENSOR_STREAM_H_
