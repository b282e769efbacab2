#include "common/rpc/tensor_stream.h"

#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/support/method_handler.h>

#include "common/rpc/status_grpc.h"

namespace drover {
namespace {

using grpc::ByteBuffer;
using Factory = grpc::internal::ClientReaderWriterFactory<ByteBuffer, ByteBuffer>;
using Handler = grpc::internal::BidiStreamingHandler<TensorServiceBase, ByteBuffer, ByteBuffer>;

}  // namespace

TensorServiceBase::TensorServiceBase() {
  // gRPC takes both; a naked new because its interface asks for raw pointers.
  AddMethod(new grpc::internal::RpcServiceMethod(
      kExchangeMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
      new Handler([](TensorServiceBase* service, grpc::ServerContext* context,
                     TensorServerStream* stream) { return service->Exchange(context, stream); },
                  this)));
}

TensorClientStream::TensorClientStream(const std::shared_ptr<grpc::Channel>& channel,
                                       const std::string& worker, const std::string& job_token)
    : channel_(channel) {
  context_.AddMetadata(kWorkerMetadata, worker);
  if (!job_token.empty()) context_.AddMetadata(kJobTokenMetadata, job_token);
  const grpc::internal::RpcMethod method(kExchangeMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
                                         channel_);
  stream_.reset(Factory::Create(channel_.get(), method, &context_));
}

TensorClientStream::~TensorClientStream() {
  if (finished_) return;
  context_.TryCancel();
  // gRPC asks for Finish before the stream may go.
  (void)Finish();
}

bool TensorClientStream::Write(const ByteBuffer& message) { return stream_->Write(message); }

bool TensorClientStream::Read(ByteBuffer* message) { return stream_->Read(message); }

bool TensorClientStream::WritesDone() { return stream_->WritesDone(); }

Status TensorClientStream::Finish() {
  finished_ = true;
  return FromGrpc(stream_->Finish());
}

void TensorClientStream::TryCancel() { context_.TryCancel(); }

}  // namespace drover
