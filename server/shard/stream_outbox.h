// What waits to be written to one worker: small frames (acknowledgements, gone) and versions, of
// which the next chunk is cut when the line is free. Small frames go first, so that an
// acknowledgement waits for at most one chunk of weights. Knows nothing of gRPC streams.
// Thread-safe; one thread takes frames out.

#ifndef DROVER_SERVER_SHARD_STREAM_OUTBOX_H_
#define DROVER_SERVER_SHARD_STREAM_OUTBOX_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/mutex.h"
#include "server/shard/publisher.h"

namespace drover {

class StreamOutbox : public Subscriber {
 public:
  // Acknowledgements that may wait before the reader of the stream has to: a worker that does not
  // read its answers is not read either.
  static constexpr size_t kSmallFramesMax = 256;

  // `cancel` ends the stream; called at most once, on any thread, only before Detach.
  explicit StreamOutbox(std::function<void()> cancel) : cancel_(std::move(cancel)) {}

  // Blocks while kSmallFramesMax wait. False once closed.
  bool PushAck(grpc::ByteBuffer frame) DROVER_EXCLUDES(mutex_);

  // Subscriber. Nothing happens once closed.
  void SendWeights(std::shared_ptr<const WeightsSend> send) override DROVER_EXCLUDES(mutex_);
  void SendGone(const FrameHeader& header) override DROVER_EXCLUDES(mutex_);
  void Cancel() override DROVER_EXCLUDES(mutex_);

  struct Item {
    grpc::ByteBuffer frame;
    bool weights = false;  // A chunk of a version, else a small frame.
    bool rounded = false;  // Of weights: to bfloat16.
  };
  // The next frame to write; blocks while there is none. Nothing once closed, or finished and
  // empty.
  std::optional<Item> Next() DROVER_EXCLUDES(mutex_);

  // Nothing more will be pushed; what is there may still be taken.
  void Finish() DROVER_EXCLUDES(mutex_);
  // Drops what waits and wakes everybody.
  void Close() DROVER_EXCLUDES(mutex_);
  // `cancel` must not be called from now on: the stream is about to go.
  void Detach() DROVER_EXCLUDES(mutex_);

 private:
  struct Sending {
    std::shared_ptr<const WeightsSend> send;
    size_t next_chunk = 0;
  };

  Mutex mutex_;
  CondVar not_empty_;
  CondVar not_full_;
  std::function<void()> cancel_ DROVER_GUARDED_BY(mutex_);
  std::deque<grpc::ByteBuffer> small_ DROVER_GUARDED_BY(mutex_);
  std::deque<Sending> weights_ DROVER_GUARDED_BY(mutex_);
  bool finished_ DROVER_GUARDED_BY(mutex_) = false;
  bool closed_ DROVER_GUARDED_BY(mutex_) = false;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_STREAM_OUTBOX_H_
