#include "worker/comm/shard_link.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>

#include <utility>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/rpc/channel.h"

namespace drover {
namespace {

// How long a writer may go on after the shard has ended the stream.
constexpr Duration kLastWrite = std::chrono::seconds(1);

// Why a stream is broken by this side.
Status Foreign(const std::string& what) {
  return Status(Code::kFailedPrecondition, what + ": run the same release everywhere");
}

}  // namespace

ShardLink::ShardLink(Options options)
    : options_(std::move(options)),
      channel_(MakeChannel(options_.address, ChannelKind::kData, options_.security)),
      token_(options_.token) {
  thread_ = Thread("link-" + options_.shard, [this] { Run(); });
}

ShardLink::~ShardLink() { Close(); }

void ShardLink::Close() {
  std::map<Key, Pushed> dropped;  // Their memory goes outside the lock.
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    dropped.swap(pushed_);
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
  if (closed_) return;
  const Key key = KeyOf(header.type, header);
  pushed_[key] = {header, std::move(frame), 0};
  if (stream_ == nullptr) return;  // Connect takes all.
  to_write_.push_back(key);
  changed_.NotifyAll();
}

void ShardLink::Pull(int64_t version) {
  MutexLock lock(&mutex_);
  pull_ = version;
  pull_written_ = false;
  changed_.NotifyAll();
}

void ShardLink::SetToken(const std::string& token) {
  MutexLock lock(&mutex_);
  token_ = token;
}

std::string ShardLink::Token() {
  MutexLock lock(&mutex_);
  return token_;
}

void ShardLink::ForgetPushes() {
  std::map<Key, Pushed> dropped;
  MutexLock lock(&mutex_);
  dropped.swap(pushed_);
  to_write_.clear();
}

void ShardLink::Run() {
  Redial redial;
  while (true) {
    const Redial::Ending ending = Connect();
    const Duration pause = redial.PauseAfter(ending);
    const bool broken = !ending.status.ok() && ending.status.code() != Code::kUnavailable;
    MutexLock lock(&mutex_);
    if (broken && redial.is_news() && !closed_) {
      LogWarning({.shard = options_.shard}, "stream ended, dialling again: {}",
                 ending.status.ToString());
    }
    const Instant until = Clock::Real().Now() + pause;
    // Pushes and pulls notify too; they do not shorten the pause.
    while (!closed_) {
      const Duration left = until - Clock::Real().Now();
      if (left.count() <= 0 || !changed_.WaitFor(&mutex_, left)) break;
    }
    if (closed_) return;
    if (options_.on_retry != nullptr) options_.on_retry();
  }
}

// Says hello, sends again what was not acknowledged, reads until the stream ends.
Redial::Ending ShardLink::Connect() {
  Redial::Ending ending;
  const Instant begin = Clock::Real().Now();
  TensorClientStream stream(channel_, options_.worker, Token());
  {
    MutexLock lock(&mutex_);
    if (closed_) return ending;
    stream_ = &stream;
    pull_written_ = false;
    to_write_.clear();
    for (const auto& [key, pushed] : pushed_) to_write_.push_back(key);
  }
  if (stream.Write(MakeSmallFrame(NewHeader(FrameType::kHello), AsBytes(options_.worker)))) {
    BoundedQueue<bool> written(1);
    Thread writer("link-write", [this, &stream, &written] {
      WriteAll(&stream);
      written.TryPush(true);
    });
    ending.status = ReadAll(&stream, &ending.useful);
    {
      MutexLock lock(&mutex_);
      stream_ = nullptr;
      changed_.NotifyAll();
    }
    // Wakes a writer that is blocked by the peer. Where the peer has ended the stream, not before
    // it must be: then the reason would be "cancelled", whatever it was.
    if (!ending.status.ok() || !written.PopFor(kLastWrite).has_value()) stream.TryCancel();
  }
  {
    MutexLock lock(&mutex_);
    stream_ = nullptr;
  }
  const Status status = stream.Finish();
  LogDebug({.shard = options_.shard}, "stream ended: {}", status.ToString());
  if (ending.status.ok()) ending.status = status;
  ending.lasted = Clock::Real().Now() - begin;
  // One of the two ends does not know what the other one says; it will say so again.
  if (ending.status.code() == Code::kFailedPrecondition) {
    options_.on_foreign("shard/" + options_.shard + ": " + ending.status.message());
  }
  return ending;
}

Status ShardLink::ReadAll(TensorClientStream* stream, bool* useful) {
  grpc::ByteBuffer message;
  while (stream->Read(&message)) {
    const Result<ReceivedFrame> frame = ParseFrame(message);
    DROVER_RETURN_IF_ERROR(frame.ok() ? Handle(frame.value()) : frame.status());
    *useful = true;
  }
  return Status();
}

void ShardLink::WriteAll(TensorClientStream* stream) {
  while (const std::optional<Pushed> next = NextToWrite()) {
    if (!stream->Write(next->frame)) return;
    const bool pushed = next->header.type != FrameType::kPull;
    if (pushed && options_.on_sent != nullptr) options_.on_sent(next->header);
  }
}

// Blocks while there is nothing; nothing once the stream is over.
std::optional<ShardLink::Pushed> ShardLink::NextToWrite() {
  MutexLock lock(&mutex_);
  while (stream_ != nullptr && !closed_) {
    if (pull_ && !pull_written_) {
      pull_written_ = true;
      FrameHeader header = NewHeader(FrameType::kPull);
      header.step = static_cast<uint64_t>(*pull_);
      return Pushed{header, MakeSmallFrame(header), 0};
    }
    while (!to_write_.empty()) {
      const auto found = pushed_.find(to_write_.front());
      to_write_.pop_front();
      if (found != pushed_.end()) return found->second;
    }
    changed_.Wait(&mutex_);
  }
  return std::nullopt;
}

Status ShardLink::Handle(const ReceivedFrame& frame) {
  const FrameHeader& header = frame.header();
  switch (header.type) {
    case FrameType::kAck:
      OnAck(header);
      return Status();
    case FrameType::kWeights:
      return OnWeights(frame);
    case FrameType::kGone:
      OnGone(header);
      return Status();
    case FrameType::kHello:
    case FrameType::kGradient:
    case FrameType::kStats:
    case FrameType::kNonfinite:
    case FrameType::kPull:
      break;
  }
  return Foreign(fmt::format("a frame of type {} came, which workers do not take",
                             static_cast<int>(header.type)));
}

Status ShardLink::OnWeights(const ReceivedFrame& frame) {
  const int64_t version = static_cast<int64_t>(frame.header().step);
  switch (options_.on_weights(frame)) {
    case WeightsInbox::Arrival::kMore:
      return Status();
    case WeightsInbox::Arrival::kPartComplete:
    case WeightsInbox::Arrival::kComplete: {
      MutexLock lock(&mutex_);
      if (pull_ == version) pull_.reset();
      return Status();
    }
    case WeightsInbox::Arrival::kDamaged:
      return Status(Code::kDataLoss, fmt::format("weights of version {} came damaged", version));
    case WeightsInbox::Arrival::kForeign:
      break;
  }
  const FrameHeader& header = frame.header();
  return Foreign(fmt::format(
      "weights of version {} in encoding {}, {} bytes for blocks [{}, {}) of layout {:016x}, are "
      "not what this build takes",
      version, static_cast<int>(header.encoding), header.payload_bytes, header.block_begin,
      header.blocks().end, header.layout_hash));
}

void ShardLink::OnGone(const FrameHeader& header) {
  const int64_t current = static_cast<int64_t>(header.step);
  {
    MutexLock lock(&mutex_);
    // It may answer an older request than the one that is open now.
    if (pull_ && current <= *pull_) return;
    pull_.reset();
  }
  options_.on_gone(current);
}

void ShardLink::OnAck(const FrameHeader& ack) {
  // An acknowledgement does not say what it is for; statistics have no blocks.
  const FrameType type = ack.block_count == 0 ? FrameType::kStats : FrameType::kGradient;
  {
    MutexLock lock(&mutex_);
    const auto found = pushed_.find(KeyOf(type, ack));
    if (found == pushed_.end()) return;
    if (ack.verdict == Verdict::kChecksum && ++found->second.refused < kSendsMax) {
      to_write_.push_back(found->first);
      changed_.NotifyAll();
      return;
    }
    pushed_.erase(found);
  }
  options_.on_ack(ack);
}

}  // namespace drover
