#include "server/shard/tensor_service.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/base/quote.h"
#include "common/base/thread.h"
#include "common/rpc/status_grpc.h"
#include "common/rpc/transport.h"

namespace drover {
namespace {

// How long the answers that are queued may still take when a stream is ended for a broken rule;
// then it is cut, and the worker sees CANCELLED instead of the reason.
constexpr Duration kLastWritePatience = std::chrono::seconds(1);
constexpr Duration kWatchEvery = std::chrono::seconds(1);

// Set once by one thread, awaited by another.
class Flag {
 public:
  void Set() DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    set_ = true;
    changed_.NotifyAll();
  }
  bool WaitFor(Duration timeout) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (!set_) {
      if (!changed_.WaitFor(&mutex_, timeout)) break;
    }
    return set_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ DROVER_GUARDED_BY(mutex_) = false;
};

FrameHeader AckOf(const FrameHeader& frame, Verdict verdict) {
  FrameHeader ack = frame;
  ack.type = FrameType::kAck;
  ack.encoding = FrameEncoding::kNone;
  ack.verdict = verdict;
  ack.payload_bytes = 0;
  ack.payload_crc = 0;
  return ack;
}

std::vector<std::string> MetadataOf(const grpc::ServerContext& context, const char* key) {
  std::vector<std::string> values;
  const auto [begin, end] = context.client_metadata().equal_range(key);
  for (auto entry = begin; entry != end; ++entry) {
    values.emplace_back(entry->second.data(), entry->second.size());
  }
  return values;
}

TokenGate::Visitor VisitorOf(const grpc::ServerContext& context) {
  const std::vector<std::string> names = MetadataOf(context, kWorkerMetadata);
  return {MetadataOf(context, kJobTokenMetadata), names.size() == 1 ? names.front() : "",
          CallerIdentity(context, nullptr), context.peer()};
}

LogPlace PlaceOf(const FrameHeader& header, const std::string& worker) {
  return {.job = header.job, .step = static_cast<int64_t>(header.step), .worker = worker};
}

}  // namespace

TensorService::TensorService(const Clock& clock, FindJob find, TokenGate* gate)
    : clock_(clock),
      find_(std::move(find)),
      gate_(gate),
      watcher_("stream-watch", [this] { WatchStreams(); }) {}

TensorService::~TensorService() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  watcher_.Join();
}

void TensorService::WatchStreams() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      if (!stopping_) (void)changed_.WaitFor(&mutex_, kWatchEvery);
      if (stopping_) return;
    }
    EndSilentStreams();
  }
}

void TensorService::EndSilentStreams() {
  std::map<StreamWatch::Id, OpenStream> silent;
  {
    MutexLock lock(&mutex_);
    for (const StreamWatch::Id id : watch_.Silent(clock_.Now())) silent[id] = open_[id];
  }
  for (const auto& [id, stream] : silent) {
    const std::shared_ptr<HostedJob> job = find_(stream.job);
    const bool owes = job != nullptr && job->runtime->publisher().Owes(stream.outbox.get());
    {
      MutexLock lock(&mutex_);
      const auto found = open_.find(id);
      if (found == open_.end() || found->second.ended) continue;
      if (owes) watch_.Heard(id, clock_.Now());
      if (owes) continue;
      found->second.ended = true;
    }
    LogWarning({.job = stream.job, .worker = stream.worker},
               "its stream is ended: it said nothing for too long and no version is on its way to "
               "it; a worker that is alive dials again");
    stream.outbox->Cancel();
  }
}

void TensorService::Heard(const Guest& guest) {
  MutexLock lock(&mutex_);
  watch_.Heard(guest.watched, clock_.Now());
}

bool TensorService::Forget(const Guest& guest) {
  MutexLock lock(&mutex_);
  watch_.Close(guest.watched);
  const auto found = open_.find(guest.watched);
  const bool ended = found->second.ended;
  open_.erase(found);
  return ended;
}

grpc::Status TensorService::Exchange(grpc::ServerContext* context, TensorServerStream* stream) {
  Guest guest = {VisitorOf(*context), {}};
  Result<JobClaims> claims = gate_->Admit(guest.visitor);
  if (!claims.ok()) return ToGrpc(claims.status());
  guest.claims = std::move(claims).value();
  const auto outbox = std::make_shared<StreamOutbox>([context] { context->TryCancel(); });
  {
    MutexLock lock(&mutex_);
    guest.watched = watch_.Open(clock_.Now());
    open_[guest.watched] = {outbox, guest.claims.subject, guest.claims.job};
  }
  Flag written;
  Thread writer("tensor-write", [&] {
    WriteAll(stream, guest.claims.job, outbox.get());
    written.Set();
  });
  Status status = ReadAll(stream, outbox, &guest);
  // For the figures of the calls: the worker sees CANCELLED.
  if (Forget(guest)) status = Status(Code::kDeadlineExceeded, "nothing was heard for too long");
  for (const std::weak_ptr<HostedJob>& pulled : guest.pulled) {
    const std::shared_ptr<HostedJob> job = pulled.lock();
    if (job != nullptr) job->runtime->publisher().Remove(outbox.get());
  }
  if (status.ok()) {
    outbox->Finish();
  } else {
    outbox->Close();
    if (!written.WaitFor(kLastWritePatience)) context->TryCancel();
  }
  writer.Join();
  outbox->Detach();
  gate_->Leave(guest.claims);
  return ToGrpc(status);
}

void TensorService::WriteAll(TensorServerStream* stream, uint64_t job, StreamOutbox* outbox) {
  while (std::optional<StreamOutbox::Item> item = outbox->Next()) {
    if (!stream->Write(item->frame)) break;
    if (!item->weights) continue;
    const std::shared_ptr<HostedJob> hosted = find_(job);
    if (hosted == nullptr) continue;
    hosted->metrics->CountWeightsSent(item->frame.Length() - kFrameHeaderBytes, item->rounded);
  }
  outbox->Close();  // Whoever waits for room must not wait for ever.
}

Status TensorService::ReadHello(TensorServerStream* stream, const std::string& worker) {
  grpc::ByteBuffer message;
  if (!stream->Read(&message)) return Status();
  const Result<ReceivedFrame> frame = ParseFrame(message);
  if (!frame.ok()) return frame.status();
  if (frame.value().header().type != FrameType::kHello) {
    return Status(Code::kInvalidArgument,
                  fmt::format("frame of type {} before the hello",
                              static_cast<int>(frame.value().header().type)));
  }
  if (!frame.value().PayloadCrcMatches()) {
    return Status(Code::kDataLoss, "hello does not match its checksum");
  }
  const std::string name = frame.value().PayloadText();
  if (name == worker) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("hello of {} on a stream of {}", Quote(name), worker));
}

Status TensorService::CheckFrame(const Guest& guest, const FrameHeader& header, uint8_t verb) {
  return gate_->CheckFrame(guest.visitor, guest.claims, header.job, header.epoch, verb);
}

void TensorService::CountMalformed(const Guest& guest, Code code) {
  const std::shared_ptr<HostedJob> job = find_(guest.claims.job);
  if (job != nullptr) job->metrics->CountMalformed(code);
}

Status TensorService::ReadAll(TensorServerStream* stream,
                              const std::shared_ptr<StreamOutbox>& outbox, Guest* guest) {
  const std::string& worker = guest->claims.subject;
  DROVER_RETURN_IF_ERROR(ReadHello(stream, worker));
  Heard(*guest);
  grpc::ByteBuffer message;
  while (stream->Read(&message)) {
    Heard(*guest);
    const Result<ReceivedFrame> frame = ParseFrame(message);
    if (!frame.ok()) {
      CountMalformed(*guest, frame.status().code());
      LogWarning({.worker = worker}, "{}", frame.status().message());
      return frame.status();
    }
    const FrameHeader& header = frame.value().header();
    switch (header.type) {
      case FrameType::kGradient:
      case FrameType::kStats:
      case FrameType::kNonfinite:
        DROVER_RETURN_IF_ERROR(CheckFrame(*guest, header, kVerbPush));
        OnGradient(frame.value(), worker, outbox.get());
        break;
      case FrameType::kPull:
        DROVER_RETURN_IF_ERROR(CheckFrame(*guest, header, kVerbPull));
        DROVER_RETURN_IF_ERROR(OnPull(header, outbox, guest));
        break;
      case FrameType::kHello:
      case FrameType::kWeights:
      case FrameType::kAck:
      case FrameType::kGone:
        CountMalformed(*guest, Code::kInvalidArgument);
        return Status(Code::kInvalidArgument,
                      fmt::format("worker {} sent a frame of type {}, which workers do not send "
                                  "here",
                                  worker, static_cast<int>(header.type)));
    }
  }
  return Status();
}

Status TensorService::OnPull(const FrameHeader& header, const std::shared_ptr<StreamOutbox>& outbox,
                             Guest* guest) {
  const std::shared_ptr<HostedJob> job = find_(header.job);
  if (job == nullptr) {
    FrameHeader nothing;
    nothing.type = FrameType::kGone;
    (void)outbox->PushAck(MakeSmallFrame(nothing));
    return Status();
  }
  guest->pulled.insert(job);
  const Result<std::optional<FrameHeader>> gone = job->runtime->publisher().Pull(outbox, header);
  if (!gone.ok()) return gone.status();
  if (gone.value().has_value()) (void)outbox->PushAck(MakeSmallFrame(*gone.value()));
  return Status();
}

void TensorService::OnGradient(const ReceivedFrame& frame, const std::string& worker,
                               StreamOutbox* outbox) {
  const FrameHeader& header = frame.header();
  const std::shared_ptr<HostedJob> job = find_(header.job);
  // Keeps it alive while we add, whatever is placed meanwhile.
  const std::shared_ptr<Accumulator> accumulator =
      job == nullptr ? nullptr : job->runtime->accumulator();
  ReceiveResult result;
  const Instant begin = clock_.Now();
  if (accumulator == nullptr) {
    result.verdict = Verdict::kLayout;
  } else {
    const ShardMetrics::Pending pending = job->metrics->ChunkArrives(header);
    result = accumulator->Receive(frame, worker);
  }
  if (header.type == FrameType::kGradient && job != nullptr) {
    job->metrics->CountGradient(header, result.verdict, clock_.Now() - begin);
    if (result.audited) job->metrics->CountAudit(!result.nondeterministic);
  } else if (header.type == FrameType::kStats && job != nullptr && IsRefusal(result.verdict)) {
    job->metrics->CountRefusal(result.verdict);
  }
  if (result.nondeterministic) {
    LogWarning(PlaceOf(header, worker),
               "leaves [{}, {}) blocks from {}: other bits than the first time", header.leaf_begin,
               header.leaf_end, header.block_begin);
  }
  if (result.culprit) {
    LogWarning(PlaceOf(header, worker), "leaves [{}, {}): {}", header.leaf_begin, header.leaf_end,
               VerdictName(result.verdict));
  }
  // The vote before the answer: who has all answers may ask for the next version at once.
  if (result.step_complete) {
    job->runtime->Post(
        GradientComplete{{header.job, header.epoch, static_cast<int64_t>(header.step)}});
  }
  (void)outbox->PushAck(MakeSmallFrame(AckOf(header, result.verdict)));
}

}  // namespace drover
