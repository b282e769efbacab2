#include "server/cli/wire_grpc.h"

#include <grpc/support/time.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/thread.h"
#include "common/rpc/channel.h"
#include "common/rpc/server_metrics.h"
#include "common/rpc/tensor_stream.h"
#include "common/rpc/transport.h"
#include "server/cli/wire_tls.h"
#include "server/shard/accumulator.h"

namespace drover {
namespace {

constexpr uint64_t kJob = 1;
constexpr uint32_t kEpoch = 1;

// A shard reduced to what moves bytes: pushes go to the accumulator and are acknowledged, a pull
// (block_begin: channel, block_count: channels) is answered with that channel's chunks.
class BenchService : public TensorServiceBase {
 public:
  BenchService(const WireLoad* load, Accumulator* accumulator)
      : load_(*load), accumulator_(*accumulator) {}

  grpc::Status Exchange(grpc::ServerContext* /*context*/, TensorServerStream* stream) override {
    BoundedQueue<FrameHeader> replies(1024);
    Thread writer("bench-writer", [&] {
      while (std::optional<FrameHeader> reply = replies.Pop()) {
        const bool sent = reply->type == FrameType::kPull ? WriteWeights(stream, *reply)
                                                          : stream->Write(MakeSmallFrame(*reply));
        if (!sent) break;
      }
      replies.Close();
    });
    grpc::ByteBuffer message;
    while (stream->Read(&message)) {
      const Result<ReceivedFrame> frame = ParseFrame(message);
      if (!frame.ok()) break;
      FrameHeader reply = frame.value().header();
      if (reply.type != FrameType::kPull) {
        reply.verdict = accumulator_.Receive(frame.value()).verdict;
        reply.type = FrameType::kAck;
        reply.payload_crc = 0;
      }
      if (!replies.Push(reply)) break;
    }
    replies.Close();
    return grpc::Status::OK;
  }

 private:
  bool WriteWeights(TensorServerStream* stream, const FrameHeader& pull) {
    FrameHeader header;
    header.type = FrameType::kWeights;
    header.encoding = FrameEncoding::kF32;
    header.step = pull.step;
    for (const size_t i :
         load_.ChunksOf(static_cast<int>(pull.block_begin), static_cast<int>(pull.block_count))) {
      const WireChunk& chunk = load_.chunks()[i];
      header.block_begin = chunk.blocks.begin;
      header.block_count = chunk.blocks.size();
      header.payload_crc = load_.weights_crc(i);
      const ByteSpan payload[] = {load_.weights(chunk)};
      if (!stream->Write(MakeStaticFrame(header, payload))) return false;
    }
    return true;
  }

  const WireLoad& load_;
  Accumulator& accumulator_;
};

// A worker's end of one connection: one thread sends, one receives.
class BenchClient {
 public:
  BenchClient(const WireLoad* load, const std::string& address, const ChannelSecurity& security,
              int channel, int channels, FloatBuffer* pulled)
      : load_(*load),
        chunks_(load->ChunksOf(channel, channels)),
        channel_(channel),
        channels_(channels),
        pulled_(*pulled),
        stream_(MakeChannel(address, ChannelKind::kData, security), "bench", "") {}

  // The two loops of one run; each is called on a thread of its own. False after an error.
  bool Send(WireDirection direction, uint64_t step) {
    FrameHeader header;
    header.job = kJob;
    header.epoch = kEpoch;
    header.step = step;
    if (direction != WireDirection::kPush) {
      header.type = FrameType::kPull;
      header.block_begin = static_cast<uint32_t>(channel_);
      header.block_count = static_cast<uint32_t>(channels_);
      for (uint32_t leaf = 0; leaf < kWireLeaves; ++leaf) {
        if (!stream_.Write(MakeSmallFrame(header))) return false;
      }
    }
    if (direction == WireDirection::kPull) return true;
    header.type = FrameType::kGradient;
    header.encoding = FrameEncoding::kF32;
    header.layout_hash = load_.layout()->hash();
    for (uint32_t leaf = 0; leaf < kWireLeaves; ++leaf) {
      header.leaf_begin = leaf;
      header.leaf_end = leaf + 1;
      for (const size_t i : chunks_) {
        if (!SendChunk(header, load_.chunks()[i])) return false;
      }
    }
    return true;
  }

  bool Receive(WireDirection direction) {
    size_t acks = direction == WireDirection::kPull ? 0 : chunks_.size() * kWireLeaves;
    size_t weights = direction == WireDirection::kPush ? 0 : chunks_.size() * kWireLeaves;
    bool correct = true;
    grpc::ByteBuffer message;
    while (acks + weights > 0) {
      if (!stream_.Read(&message)) return false;
      const Result<ReceivedFrame> frame = ParseFrame(message);
      if (!frame.ok()) return false;
      const FrameHeader& header = frame.value().header();
      if (header.type == FrameType::kAck) {
        correct = correct && !IsRefusal(header.verdict);
        --acks;
        window_.Pop();
      } else {
        const auto out = pulled_.span().subspan(load_.layout()->SpanOffset(header.blocks()),
                                                load_.layout()->SpanElements(header.blocks()));
        correct = correct && frame.value().CopyPayload(std::as_writable_bytes(out));
        --weights;
      }
    }
    return correct;
  }

 private:
  bool SendChunk(FrameHeader header, const WireChunk& chunk) {
    if (!window_.Push(true)) return false;  // Blocks while the window is full.
    header.block_begin = chunk.blocks.begin;
    header.block_count = chunk.blocks.size();
    const ByteSpan payload[] = {load_.gradient(chunk)};
    header.payload_crc = PayloadCrc(payload);
    return stream_.Write(MakeStaticFrame(header, payload));
  }

  const WireLoad& load_;
  const std::vector<size_t> chunks_;
  const int channel_;
  const int channels_;
  FloatBuffer& pulled_;
  TensorClientStream stream_;
  BoundedQueue<bool> window_{kWireWindow};  // One entry per unanswered chunk.
};

class GrpcTransport : public WireTransport {
 public:
  GrpcTransport(const WireLoad* load, const WireTls* tls, int channels,
                std::unique_ptr<Accumulator> accumulator)
      : load_(*load),
        accumulator_(std::move(accumulator)),
        pulled_(load->elements()),
        service_(load, accumulator_.get()) {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kData);
    int port = 0;
    const Transport plain;
    builder.AddListeningPort(
        "127.0.0.1:0", (tls == nullptr ? plain : tls->shard()).MakeServerCredentials({}), &port);
    builder.RegisterService(&service_);
    CountCalls(&registry_, &builder);  // As a shard does.
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return;
    const std::string address = "127.0.0.1:" + std::to_string(port);
    for (int channel = 0; channel < channels; ++channel) {
      clients_.push_back(std::make_unique<BenchClient>(
          load, address, (tls == nullptr ? plain : tls->worker()).channels(), channel, channels,
          &pulled_));
    }
  }
  ~GrpcTransport() override {
    clients_.clear();
    if (server_ != nullptr) server_->Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
  }

  bool started() const { return server_ != nullptr; }

  Status Run(WireDirection direction) override {
    if (direction != WireDirection::kPull) accumulator_->Open(kEpoch, ++step_);
    std::atomic<bool> correct = true;
    {
      std::vector<Thread> threads;
      for (const auto& client : clients_) {
        threads.emplace_back("bench-send", [&, this] {
          if (!client->Send(direction, step_)) correct = false;
        });
        threads.emplace_back("bench-receive", [&] {
          if (!client->Receive(direction)) correct = false;
        });
      }
    }
    if (!correct) return Status(Code::kInternal, "bench wire: a frame was lost or refused");
    return Status();
  }

  double gradient_squares() const override {
    const std::vector<double>& squares = accumulator_->block_squares();
    return std::accumulate(squares.begin(), squares.end(), 0.0);
  }
  std::span<const float> pulled() const override { return pulled_.span(); }

 private:
  const WireLoad& load_;
  MetricRegistry registry_{MetricRole::kShard};
  std::unique_ptr<Accumulator> accumulator_;
  FloatBuffer pulled_;
  BenchService service_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<BenchClient>> clients_;
  uint64_t step_ = 0;
};

}  // namespace

Result<std::unique_ptr<WireTransport>> MakeGrpcTransport(const WireLoad* load, const WireTls* tls,
                                                         int channels) {
  AccumulatorOptions options;
  options.job = kJob;
  options.owned = load->layout()->all_blocks();
  options.shapes = {{0, kWireLeaves, kWireBatch}};
  options.fraction_bits = DefaultFractionBits(kWireBatch);
  Result<std::unique_ptr<Accumulator>> accumulator = Accumulator::Make(load->layout(), options);
  if (!accumulator.ok()) return accumulator.status();
  auto transport =
      std::make_unique<GrpcTransport>(load, tls, channels, std::move(accumulator).value());
  if (!transport->started()) {
    return Status(Code::kUnavailable, "bench wire: cannot open a port on 127.0.0.1");
  }
  return std::unique_ptr<WireTransport>(std::move(transport));
}

}  // namespace drover
