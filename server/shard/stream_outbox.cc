#include "server/shard/stream_outbox.h"

namespace drover {

bool StreamOutbox::PushAck(grpc::ByteBuffer frame) {
  MutexLock lock(&mutex_);
  while (small_.size() >= kSmallFramesMax && !closed_) not_full_.Wait(&mutex_);
  if (closed_) return false;
  small_.push_back(std::move(frame));
  not_empty_.NotifyOne();
  return true;
}

void StreamOutbox::SendWeights(std::shared_ptr<const WeightsSend> send) {
  MutexLock lock(&mutex_);
  if (closed_ || send->chunk_count() == 0) return;
  weights_.push_back({std::move(send), 0});
  not_empty_.NotifyOne();
}

void StreamOutbox::SendGone(const FrameHeader& header) {
  // Never blocks the step thread; a stream waits for at most Publisher::kPullsMax versions.
  MutexLock lock(&mutex_);
  if (closed_) return;
  small_.push_back(MakeSmallFrame(header));
  not_empty_.NotifyOne();
}

void StreamOutbox::Cancel() {
  MutexLock lock(&mutex_);
  // Under the lock, so that Detach can promise that no call is under way.
  if (cancel_ == nullptr) return;
  cancel_();
  cancel_ = nullptr;
}

std::optional<StreamOutbox::Item> StreamOutbox::Next() {
  MutexLock lock(&mutex_);
  while (small_.empty() && weights_.empty() && !finished_ && !closed_) not_empty_.Wait(&mutex_);
  if (closed_ || (small_.empty() && weights_.empty())) return std::nullopt;
  Item item;
  if (!small_.empty()) {
    item.frame = std::move(small_.front());
    small_.pop_front();
    not_full_.NotifyOne();
    return item;
  }
  Sending& sending = weights_.front();
  item.frame = WeightsSend::MakeFrame(sending.send, sending.next_chunk);
  item.weights = true;
  item.rounded = sending.send->rounded();
  if (++sending.next_chunk == sending.send->chunk_count()) weights_.pop_front();
  return item;
}

void StreamOutbox::Finish() {
  MutexLock lock(&mutex_);
  finished_ = true;
  not_empty_.NotifyAll();
}

void StreamOutbox::Close() {
  std::deque<Sending> dropped;  // Their last references end outside the lock.
  MutexLock lock(&mutex_);
  closed_ = true;
  small_.clear();
  dropped.swap(weights_);
  not_empty_.NotifyAll();
  not_full_.NotifyAll();
}

void StreamOutbox::Detach() {
  MutexLock lock(&mutex_);
  cancel_ = nullptr;
}

}  // namespace drover
