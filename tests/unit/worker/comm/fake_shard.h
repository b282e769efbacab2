// A shard that does what a test tells it: keeps the frames it gets and answers what it is given.
// One stream at a time.

#ifndef DROVER_TESTS_UNIT_WORKER_COMM_FAKE_SHARD_H_
#define DROVER_TESTS_UNIT_WORKER_COMM_FAKE_SHARD_H_

#include <grpc/support/time.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/frame.h"
#include "common/rpc/tensor_stream.h"

namespace drover {

class FakeShard : public TensorServiceBase {
 public:
  struct Frame {
    FrameHeader header;
    std::vector<std::byte> payload;
  };
  // What to answer to a frame, in the order of the stream; nothing to stay silent.
  using Answer = std::function<std::vector<grpc::ByteBuffer>(const Frame& frame)>;

  explicit FakeShard(Answer answer, const std::string& address = "127.0.0.1:0")
      : answer_(std::move(answer)) {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kData);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeShard() override {
    BreakStream();
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // The n-th frame of this type, from 0; waits for it, or gives a hello after a minute.
  Frame WaitForFrame(FrameType type, size_t n) {
    MutexLock lock(&mutex_);
    for (int tries = 0; tries < 600; ++tries) {
      size_t seen = 0;
      for (const Frame& frame : frames_) {
        if (frame.header.type == type && seen++ == n) return frame;
      }
      arrived_.WaitFor(&mutex_, std::chrono::milliseconds(100));
    }
    return {};
  }
  // How many frames of this type have come.
  size_t Count(FrameType type) {
    MutexLock lock(&mutex_);
    size_t count = 0;
    for (const Frame& frame : frames_) count += frame.header.type == type ? 1 : 0;
    return count;
  }

  // What each stream showed, in their order; empty: nothing.
  std::vector<std::string> tokens() {
    MutexLock lock(&mutex_);
    return tokens_;
  }

  // Says something that nobody asked for. The stream is open.
  void Say(const grpc::ByteBuffer& message) {
    MutexLock lock(&mutex_);
    stream_->Write(message);
  }
  void BreakStream() {
    MutexLock lock(&mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }

  grpc::Status Exchange(grpc::ServerContext* context, TensorServerStream* stream) override {
    {
      MutexLock lock(&mutex_);
      context_ = context;
      stream_ = stream;
      const auto token = context->client_metadata().find(kJobTokenMetadata);
      tokens_.emplace_back(token == context->client_metadata().end()
                               ? std::string()
                               : std::string(token->second.data(), token->second.size()));
    }
    grpc::ByteBuffer message;
    while (stream->Read(&message)) {
      Result<ReceivedFrame> received = ParseFrame(message);
      if (!received.ok()) break;
      Frame frame{received.value().header(), {}};
      for (const ByteSpan& span : received.value().payload()) {
        frame.payload.insert(frame.payload.end(), span.begin(), span.end());
      }
      const std::vector<grpc::ByteBuffer> replies = answer_(frame);
      MutexLock lock(&mutex_);
      for (const grpc::ByteBuffer& reply : replies) stream->Write(reply);
      frames_.push_back(std::move(frame));
      arrived_.NotifyAll();
    }
    MutexLock lock(&mutex_);
    if (context_ == context) context_ = nullptr;
    return grpc::Status::OK;
  }

 private:
  const Answer answer_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  Mutex mutex_;
  CondVar arrived_;
  std::vector<std::string> tokens_ DROVER_GUARDED_BY(mutex_);
  std::vector<Frame> frames_ DROVER_GUARDED_BY(mutex_);
  grpc::ServerContext* context_ DROVER_GUARDED_BY(mutex_) = nullptr;
  TensorServerStream* stream_ DROVER_GUARDED_BY(mutex_) = nullptr;
};

inline std::vector<grpc::ByteBuffer> Silence(const FakeShard::Frame&) { return {}; }

inline FrameHeader AckHeader(FrameHeader header, Verdict verdict) {
  header.type = FrameType::kAck;
  header.encoding = FrameEncoding::kNone;
  header.verdict = verdict;
  header.payload_bytes = 0;
  header.payload_crc = 0;
  return header;
}

inline grpc::ByteBuffer AckOf(const FrameHeader& header, Verdict verdict) {
  return MakeSmallFrame(AckHeader(header, verdict));
}

// The newest version is `current`, not what was asked for.
inline grpc::ByteBuffer GoneFrame(FrameHeader pull, int64_t current) {
  pull.type = FrameType::kGone;
  pull.step = static_cast<uint64_t>(current);
  return MakeSmallFrame(pull);
}

// One chunk of a version. `values`: the parameter space. `damaged`: its checksum is wrong.
inline grpc::ByteBuffer WeightsFrame(const Layout& layout, BlockRange blocks,
                                     std::span<const float> values, int64_t version, uint32_t epoch,
                                     bool damaged = false) {
  FrameHeader header;
  header.type = FrameType::kWeights;
  header.encoding = FrameEncoding::kF32;
  header.epoch = epoch;
  header.step = static_cast<uint64_t>(version);
  header.block_begin = blocks.begin;
  header.block_count = blocks.size();
  header.layout_hash = layout.hash();
  const auto owner = std::make_shared<std::vector<float>>(
      values.begin() + static_cast<ptrdiff_t>(layout.SpanOffset(blocks)),
      values.begin() +
          static_cast<ptrdiff_t>(layout.SpanOffset(blocks) + layout.SpanElements(blocks)));
  const std::array<ByteSpan, 1> payload = {std::as_bytes(std::span(*owner))};
  header.payload_crc = PayloadCrc(payload) + (damaged ? 1 : 0);
  return MakeOwnedFrame(header, payload, owner);
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_COMM_FAKE_SHARD_H_
