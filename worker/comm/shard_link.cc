#include "worker/comm/shard_link.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/rpc/channel.h"

namespace drover {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(kReconnectInitialMs);

}  // namespace

ShardLink::ShardLink(Options options)
    : options_(std::move(options)), channel_(MakeChannel(options_.address, ChannelKind::kData)) {
  thread_ = Thread("link-" + options_.shard, [this] { Run(); });
}

ShardLink::~ShardLink() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    if (stream_ != nullptr) stream_->TryCancel();
    changed_.NotifyAll();
  }
  thread_.Join();
}

FrameHeader ShardLink::NewHeader(FrameType type) const {
  FrameHeader header;
  header.type = type;
  header.job = options_.job;
  header.epoch = options_.epoch;
  header.layout_hash = options_.layout_hash;
  return header;
}

void ShardLink::Push(const FrameHeader& header, grpc::ByteBuffer frame) {
  MutexLock lock(&mutex_);
  unacknowledged_[KeyOf(header.type, header)] = frame;
  if (!connected_) return;
  queue_.push_back(std::move(frame));
  changed_.NotifyAll();
}

void ShardLink::Pull(int64_t version) {
  FrameHeader header = NewHeader(FrameType::kPull);
  header.step = static_cast<uint64_t>(version);
  MutexLock lock(&mutex_);
  pull_ = version;
  if (!connected_) return;
  queue_.push_back(MakeSmallFrame(header));
  changed_.NotifyAll();
}

void ShardLink::ForgetPushes() {
  MutexLock lock(&mutex_);
  unacknowledged_.clear();
}

void ShardLink::Run() {
  while (true) {
    Connect();
    MutexLock lock(&mutex_);
    if (!stopping_) changed_.WaitFor(&mutex_, kPause);
    if (stopping_) return;
  }
}

// One connection: says hello, sends again what was not acknowledged, reads until the stream ends.
void ShardLink::Connect() {
  TensorClientStream stream(channel_, options_.worker);
  {
    MutexLock lock(&mutex_);
    if (stopping_) return;
    stream_ = &stream;
    connected_ = true;
    queue_.clear();
    queue_.push_back(MakeSmallFrame(NewHeader(FrameType::kHello), AsBytes(options_.worker)));
    for (const auto& [key, frame] : unacknowledged_) queue_.push_back(frame);
    if (pull_) {
      FrameHeader header = NewHeader(FrameType::kPull);
      header.step = static_cast<uint64_t>(*pull_);
      queue_.push_back(MakeSmallFrame(header));
    }
  }
  Thread writer("link-write", [this, &stream] { WriteAll(&stream); });
  grpc::ByteBuffer message;
  while (stream.Read(&message)) {
    const Result<ReceivedFrame> frame = ParseFrame(message);
    if (!frame.ok()) {
      LogError("shard/{} sent a damaged frame: {}", options_.shard, frame.status().ToString());
      stream.TryCancel();
      break;
    }
    Handle(frame.value());
  }
  {
    MutexLock lock(&mutex_);
    connected_ = false;
    stream_ = nullptr;
    changed_.NotifyAll();
  }
  stream.TryCancel();  // Wakes a writer that is blocked by the peer.
  writer.Join();
  const Status status = stream.Finish();
  MutexLock lock(&mutex_);
  if (!stopping_) LogDebug("stream to shard/{} ended: {}", options_.shard, status.ToString());
}

void ShardLink::WriteAll(TensorClientStream* stream) {
  while (true) {
    grpc::ByteBuffer frame;
    {
      MutexLock lock(&mutex_);
      while (queue_.empty() && connected_) changed_.Wait(&mutex_);
      if (!connected_) return;
      frame = std::move(queue_.front());
      queue_.pop_front();
    }
    if (!stream->Write(frame)) return;
  }
}

void ShardLink::Handle(const ReceivedFrame& frame) {
  const FrameHeader& header = frame.header();
  if (header.type == FrameType::kAck) {
    OnAck(header);
  } else if (header.type == FrameType::kWeights) {
    if (!options_.on_weights(frame)) return;
    MutexLock lock(&mutex_);
    if (pull_ && *pull_ == static_cast<int64_t>(header.step)) pull_.reset();
  } else if (header.type == FrameType::kGone) {
    {
      MutexLock lock(&mutex_);
      pull_.reset();
    }
    options_.on_gone(static_cast<int64_t>(header.step));
  } else {
    LogWarning("shard/{} sent a frame of type {}, which workers do not take", options_.shard,
               static_cast<int>(header.type));
  }
}

void ShardLink::OnAck(const FrameHeader& ack) {
  // An acknowledgement does not say what it is for; statistics have no blocks.
  const FrameType type = ack.block_count == 0 ? FrameType::kStats : FrameType::kGradient;
  {
    MutexLock lock(&mutex_);
    const auto found = unacknowledged_.find(KeyOf(type, ack));
    if (found == unacknowledged_.end()) return;
    if (ack.verdict == Verdict::kChecksum) {  // Damaged on the way: once more.
      if (connected_) queue_.push_back(found->second);
      changed_.NotifyAll();
      return;
    }
    unacknowledged_.erase(found);
  }
  options_.on_ack(ack);
}

}  // namespace drover
