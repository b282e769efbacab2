#include "server/shard/publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

// Reports the time from its making to its end.
std::shared_ptr<const void> MakeTimer(const Clock& clock, std::function<void(Duration)> report) {
  if (report == nullptr) return nullptr;
  const Instant begin = clock.Now();
  return std::shared_ptr<const void>(
      &clock, [begin, report, &clock](const void*) { report(clock.Now() - begin); });
}

}  // namespace

WeightsSend::WeightsSend(std::shared_ptr<const Version> version,
                         std::shared_ptr<const Layout> layout, BlockRange owned,
                         const FrameHeader& header, std::shared_ptr<const void> on_gone)
    : version_(std::move(version)),
      layout_(std::move(layout)),
      owned_(owned),
      chunks_(layout_->Chunks(owned)),
      header_(header),
      on_gone_(std::move(on_gone)) {
  DROVER_CHECK(version_->chunk_crcs.size() == chunks_.size());
}

grpc::ByteBuffer WeightsSend::MakeFrame(const std::shared_ptr<const WeightsSend>& send,
                                        size_t chunk) {
  const BlockRange blocks = send->chunks_[chunk];
  const uint64_t first =
      send->layout_->SpanOffset(blocks) - send->layout_->SpanOffset(send->owned_);
  FrameHeader header = send->header_;
  header.block_begin = blocks.begin;
  header.block_count = blocks.size();
  header.payload_crc = send->version_->chunk_crcs[chunk];
  const uint64_t elements = send->layout_->SpanElements(blocks);
  const Version& version = *send->version_;
  header.encoding = version.rounded == nullptr ? FrameEncoding::kF32 : FrameEncoding::kBf16;
  const std::array<ByteSpan, 1> payload = {
      version.rounded == nullptr ? std::as_bytes(version.weights->span().subspan(first, elements))
                                 : std::as_bytes(version.rounded->span().subspan(first, elements))};
  return MakeOwnedFrame(header, payload, send);
}

Publisher::Publisher(const Clock& clock, std::function<void(Duration)> on_sent)
    : clock_(clock), on_sent_(std::move(on_sent)) {}

void Publisher::Answers::Deliver() {
  for (auto& [subscriber, send] : sends) subscriber->SendWeights(std::move(send));
  for (auto& [subscriber, header] : gone) subscriber->SendGone(header);
}

void Publisher::Place(uint64_t job, uint32_t epoch, std::shared_ptr<const Layout> layout,
                      BlockRange owned) {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    const bool same = held_.layout != nullptr && held_.job == job && held_.owned == owned &&
                      held_.layout->hash() == layout->hash();
    const bool same_epoch = same && held_.epoch == epoch;
    if (!same) held_ = Held();
    held_.job = job;
    held_.epoch = epoch;
    held_.layout = std::move(layout);
    held_.owned = owned;
    if (!same_epoch) RefuseAllWaiting(&answers);
  }
  answers.Deliver();
}

void Publisher::Clear() {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    held_ = Held();
    RefuseAllWaiting(&answers);
  }
  answers.Deliver();
}

void Publisher::Publish(std::shared_ptr<const Version> version) {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    DROVER_CHECK(held_.layout != nullptr);
    held_.previous = std::move(held_.current);
    held_.current = std::move(version);
    // Shared by all who wait, so that it ends with the last of them.
    std::shared_ptr<const void> timer;
    for (auto& [key, stream] : streams_) {
      const bool wanted = std::erase(stream.waits, held_.current->number) > 0;
      const size_t passed =
          std::erase_if(stream.waits, [&](int64_t wait) { return wait < held_.current->number; });
      for (size_t i = 0; i < passed; ++i)
        answers.gone.emplace_back(stream.subscriber, GoneHeader());
      if (!wanted) continue;
      if (timer == nullptr) timer = MakeTimer(clock_, on_sent_);
      answers.sends.emplace_back(stream.subscriber, MakeSend(held_.current, timer, &stream));
    }
  }
  answers.Deliver();
}

void Publisher::DropBefore(int64_t number) {
  MutexLock lock(&mutex_);
  if (held_.previous != nullptr && held_.previous->number < number) held_.previous.reset();
}

Result<std::optional<FrameHeader>> Publisher::Pull(const std::shared_ptr<Subscriber>& subscriber,
                                                   const FrameHeader& header) {
  std::shared_ptr<const WeightsSend> send;
  {
    MutexLock lock(&mutex_);
    const auto wanted = static_cast<int64_t>(header.step);
    const bool fits = held_.current != nullptr && header.job == held_.job &&
                      header.epoch == held_.epoch && header.layout_hash == held_.layout->hash();
    const bool later = fits && wanted > held_.current->number;
    std::shared_ptr<const Version> version;
    for (const auto& held : {held_.current, held_.previous}) {
      if (fits && held != nullptr && held->number == wanted) version = held;
    }
    if (!later && version == nullptr) return std::optional(GoneHeader());
    Stream& stream = streams_[subscriber.get()];
    stream.subscriber = subscriber;
    if (std::count(stream.waits.begin(), stream.waits.end(), wanted) > 0) {
      return std::optional<FrameHeader>();  // It will be sent once.
    }
    std::erase_if(stream.sends, [](const auto& old) { return old.expired(); });
    if (const size_t pulls = stream.waits.size() + stream.sends.size(); pulls >= kPullsMax) {
      return Status(Code::kResourceExhausted,
                    fmt::format("pull of version {} while {} are waiting or being sent on this "
                                "stream: expected at most {}",
                                wanted, pulls, kPullsMax));
    }
    if (later) {
      stream.waits.push_back(wanted);
    } else {
      send = MakeSend(std::move(version), nullptr, &stream);
    }
  }
  if (send != nullptr) subscriber->SendWeights(std::move(send));
  return std::optional<FrameHeader>();
}

bool Publisher::Owes(const Subscriber* subscriber) {
  MutexLock lock(&mutex_);
  const auto found = streams_.find(subscriber);
  if (found == streams_.end()) return false;
  const Stream& stream = found->second;
  return !stream.waits.empty() || std::any_of(stream.sends.begin(), stream.sends.end(),
                                              [](const auto& send) { return !send.expired(); });
}

void Publisher::Remove(const Subscriber* subscriber) {
  std::shared_ptr<Subscriber> last;  // Let go of outside the lock.
  MutexLock lock(&mutex_);
  const auto found = streams_.find(subscriber);
  if (found == streams_.end()) return;
  last = std::move(found->second.subscriber);
  streams_.erase(found);
}

size_t Publisher::CancelReadersBefore(int64_t number) {
  std::vector<std::shared_ptr<Subscriber>> slow;
  {
    MutexLock lock(&mutex_);
    for (auto& [key, stream] : streams_) {
      const bool reads = std::any_of(stream.sends.begin(), stream.sends.end(),
                                     [&](const std::weak_ptr<const WeightsSend>& s) {
                                       const std::shared_ptr<const WeightsSend> send = s.lock();
                                       return send != nullptr && send->version() < number;
                                     });
      if (reads) slow.push_back(stream.subscriber);
    }
  }
  for (const auto& subscriber : slow) subscriber->Cancel();
  return slow.size();
}

std::shared_ptr<const WeightsSend> Publisher::MakeSend(std::shared_ptr<const Version> version,
                                                       std::shared_ptr<const void> on_gone,
                                                       Stream* stream) {
  FrameHeader header;
  header.type = FrameType::kWeights;
  header.job = held_.job;
  header.epoch = held_.epoch;
  header.step = static_cast<uint64_t>(version->number);
  header.layout_hash = held_.layout->hash();
  auto send = std::make_shared<const WeightsSend>(std::move(version), held_.layout, held_.owned,
                                                  header, std::move(on_gone));
  stream->sends.push_back(send);
  return send;
}

// Where we are, so that the worker can find its way: all zeros when nothing is held.
FrameHeader Publisher::GoneHeader() const {
  FrameHeader header;
  header.type = FrameType::kGone;
  if (held_.current == nullptr) return header;
  header.job = held_.job;
  header.epoch = held_.epoch;
  header.step = static_cast<uint64_t>(held_.current->number);
  header.layout_hash = held_.layout->hash();
  return header;
}

void Publisher::RefuseAllWaiting(Answers* answers) {
  for (auto& [key, stream] : streams_) {
    for (size_t i = 0; i < stream.waits.size(); ++i) {
      answers->gone.emplace_back(stream.subscriber, GoneHeader());
    }
    stream.waits.clear();
  }
}

}  // namespace drover
