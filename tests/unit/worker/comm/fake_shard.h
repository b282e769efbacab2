// A shard that does what a test tells it: keeps the frames it gets and answers what it is given.
// One stream at a time.

#ifndef DROVER_TESTS_UNIT_WORKER_COMM_FAKE_SHARD_H_
#define DROVER_TESTS_UNIT_WORKER_COMM_FAKE_SHARD_H_

#include <grpc/support/time.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
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
  // What to answer to a frame; nothing to stay silent.
  using Answer = std::function<std::vector<grpc::ByteBuffer>(const Frame& frame)>;

  explicit FakeShard(Answer answer) : answer_(std::move(answer)) {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kData);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeShard() override {
    BreakStream();
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // The n-th frame of this type, from 0; waits for it, or gives a hello after ten seconds.
  Frame WaitForFrame(FrameType type, size_t n) {
    MutexLock lock(&mutex_);
    for (int tries = 0; tries < 100; ++tries) {
      size_t seen = 0;
      for (const Frame& frame : frames_) {
        if (frame.header.type == type && seen++ == n) return frame;
      }
      arrived_.WaitFor(&mutex_, std::chrono::milliseconds(100));
    }
    return {};
  }

  void BreakStream() {
    MutexLock lock(&mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }

  grpc::Status Exchange(grpc::ServerContext* context, TensorServerStream* stream) override {
    {
      MutexLock lock(&mutex_);
      context_ = context;
    }
    grpc::ByteBuffer message;
    while (stream->Read(&message)) {
      Result<ReceivedFrame> received = ParseFrame(message);
      if (!received.ok()) break;
      Frame frame{received.value().header(), {}};
      for (const ByteSpan& span : received.value().payload()) {
        frame.payload.insert(frame.payload.end(), span.begin(), span.end());
      }
      {
        MutexLock lock(&mutex_);
        frames_.push_back(frame);
        arrived_.NotifyAll();
      }
      for (const grpc::ByteBuffer& reply : answer_(frame)) stream->Write(reply);
    }
    MutexLock lock(&mutex_);
    context_ = nullptr;
    return grpc::Status::OK;
  }

 private:
  const Answer answer_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  Mutex mutex_;
  CondVar arrived_;
  std::vector<Frame> frames_ DROVER_GUARDED_BY(mutex_);
  grpc::ServerContext* context_ DROVER_GUARDED_BY(mutex_) = nullptr;
};

inline grpc::ByteBuffer AckOf(FrameHeader header, Verdict verdict) {
  header.type = FrameType::kAck;
  header.encoding = FrameEncoding::kNone;
  header.verdict = verdict;
  header.payload_bytes = 0;
  return MakeSmallFrame(header);
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_COMM_FAKE_SHARD_H_
