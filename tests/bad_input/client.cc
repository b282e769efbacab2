#include "tests/bad_input/client.h"

#include <grpc/support/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/sync_stream.h>

#include "common/rpc/channel.h"
#include "common/rpc/channel_security.h"
#include "common/rpc/status_grpc.h"

namespace drover::bad_input {
namespace {

using grpc::ByteBuffer;
using Factory = grpc::internal::ClientReaderWriterFactory<ByteBuffer, ByteBuffer>;

ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return ByteBuffer(&slice, 1);
}

std::string ToString(const ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

class BytesStream final : public Stream {
 public:
  BytesStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
              const Metadata& metadata, Duration deadline)
      : method_name_(method), channel_(channel) {
    for (const auto& [name, value] : metadata) context_.AddMetadata(name, value);
    context_.set_wait_for_ready(true);  // A busy machine may take a second to shake hands.
    const int64_t limit_ns = deadline.count();
    context_.set_deadline(
        gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_nanos(limit_ns, GPR_TIMESPAN)));
    const grpc::internal::RpcMethod rpc(method_name_.c_str(),
                                        grpc::internal::RpcMethod::BIDI_STREAMING, channel_);
    stream_.reset(Factory::Create(channel_.get(), rpc, &context_));
  }
  ~BytesStream() override {
    if (finished_) return;
    context_.TryCancel();
    (void)Finish();
  }

  bool Write(const std::string& message) override { return stream_->Write(ToBuffer(message)); }
  std::optional<std::string> Read() override {
    ByteBuffer message;
    if (!stream_->Read(&message)) return std::nullopt;
    return ToString(message);
  }
  void WritesDone() override { stream_->WritesDone(); }
  void Cancel() override { context_.TryCancel(); }
  Status Finish() override {
    finished_ = true;
    ByteBuffer message;
    while (stream_->Read(&message)) continue;
    return FromGrpc(stream_->Finish());
  }

 private:
  const std::string method_name_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<ByteBuffer, ByteBuffer>> stream_;
  bool finished_ = false;
};

}  // namespace

struct Client::Connection {
  std::shared_ptr<grpc::Channel> channel;
};

Client::Client(int port, const std::string& authority, const KeyPair& pair)
    : connection_(std::make_unique<Connection>()) {
  ChannelSecurity security;
  security.credentials = grpc::SslCredentials({authority, pair.key, pair.certificate});
  // The limits of the data plane: a client that keeps the smaller ones could not break them.
  connection_->channel =
      MakeChannel("localhost:" + std::to_string(port), ChannelKind::kData, security);
}

Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

Answer Client::Call(const std::string& method, const std::string& request, const Metadata& metadata,
                    Duration deadline) const {
  const std::unique_ptr<Stream> stream = Open(method, metadata, deadline);
  if (stream->Write(request)) stream->WritesDone();
  Answer answer;
  answer.bytes = stream->Read().value_or("");
  answer.status = stream->Finish();
  return answer;
}

std::unique_ptr<Stream> Client::Open(const std::string& method, const Metadata& metadata,
                                     Duration deadline) const {
  return std::make_unique<BytesStream>(connection_->channel, method, metadata, deadline);
}

}  // namespace drover::bad_input
