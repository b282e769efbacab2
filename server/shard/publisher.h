// Which versions of the weights can be pulled, and who waits for the next one: a pull of a version
// that is held is answered at once, a pull of a later one the moment it is published, to all who
// wait; one that cannot be answered any more is told that it is gone. Also knows which streams
// still read an old version, so that one slow reader cannot hold up a step. Knows nothing of gRPC.
// Thread-safe; subscribers are called without its lock and must not block.

#ifndef DROVER_SERVER_SHARD_PUBLISHER_H_
#define DROVER_SERVER_SHARD_PUBLISHER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/frame.h"
#include "common/tensor/layout.h"
#include "server/shard/versions.h"

namespace drover {

// One version on its way to one stream. Lives until the network has let go of its last byte.
class WeightsSend {
 public:
  WeightsSend(std::shared_ptr<const Version> version, std::shared_ptr<const Layout> layout,
              BlockRange owned, const FrameHeader& header, std::shared_ptr<const void> on_gone);

  int64_t version() const { return version_->number; }
  size_t chunk_count() const { return chunks_.size(); }
  bool rounded() const { return version_->rounded != nullptr; }  // To bfloat16.
  // Frame of one chunk; refers to the version's memory and holds `send` as its owner.
  static grpc::ByteBuffer MakeFrame(const std::shared_ptr<const WeightsSend>& send, size_t chunk);

 private:
  const std::shared_ptr<const Version> version_;
  const std::shared_ptr<const Layout> layout_;
  const BlockRange owned_;
  const std::vector<BlockRange> chunks_;
  const FrameHeader header_;                   // Of every chunk; blocks and checksum are added.
  const std::shared_ptr<const void> on_gone_;  // Let go of with this object.
};

// One stream to a worker, as the publisher sees it. Calls come from any thread and do not block.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  virtual void SendWeights(std::shared_ptr<const WeightsSend> send) = 0;
  virtual void SendGone(const FrameHeader& header) = 0;
  virtual void Cancel() = 0;  // Ends the stream soon.
};

class Publisher {
 public:
  // Waiting or being sent, of one stream; more are a protocol violation.
  static constexpr size_t kPullsMax = 4;

  // `on_sent` (may be empty) is told, on any thread, how long it took from Publish until the last
  // of those who had waited was served or gone.
  explicit Publisher(const Clock& clock, std::function<void(Duration)> on_sent = nullptr);

  // What is served from now on; nothing is held before the first Publish. Who waits under another
  // job, epoch or layout is told that it is gone. Versions held of the same job and range stay.
  void Place(uint64_t job, uint32_t epoch, std::shared_ptr<const Layout> layout, BlockRange owned);
  // Holds nothing; every pull is answered as gone.
  void Clear();

  // The next version after the one held, or the first one after Place. The one before stays until
  // DropBefore or the next Publish.
  void Publish(std::shared_ptr<const Version> version);
  // Versions below `number` are gone, unless it is the only one held.
  void DropBefore(int64_t number);

  // Takes a kPull frame. Returns the kGone header to answer with, if it cannot be served now or
  // later; else the subscriber gets the version. kResourceExhausted when the stream waits for too
  // many already.
  Result<std::optional<FrameHeader>> Pull(const std::shared_ptr<Subscriber>& subscriber,
                                          const FrameHeader& header);
  // Whether a version is being sent to it, or will be once it exists.
  bool Owes(const Subscriber* subscriber);
  // The stream is over: it waits for nothing. What is being sent is its own matter.
  void Remove(const Subscriber* subscriber);

  // Cancels the streams that still read a version below `number`. How many there were.
  size_t CancelReadersBefore(int64_t number);

 private:
  struct Held {
    uint64_t job = 0;
    uint32_t epoch = 0;
    std::shared_ptr<const Layout> layout;  // Null: nothing is placed.
    BlockRange owned;
    std::shared_ptr<const Version> current;
    std::shared_ptr<const Version> previous;
  };
  struct Stream {
    std::shared_ptr<Subscriber> subscriber;
    std::vector<int64_t> waits;  // Versions.
    std::vector<std::weak_ptr<const WeightsSend>> sends;
  };
  // What to tell whom once the lock is released.
  struct Answers {
    std::vector<std::pair<std::shared_ptr<Subscriber>, std::shared_ptr<const WeightsSend>>> sends;
    std::vector<std::pair<std::shared_ptr<Subscriber>, FrameHeader>> gone;
    void Deliver();
  };

  std::shared_ptr<const WeightsSend> MakeSend(std::shared_ptr<const Version> version,
                                              std::shared_ptr<const void> on_gone, Stream* stream)
      DROVER_REQUIRES(mutex_);
  FrameHeader GoneHeader() const DROVER_REQUIRES(mutex_);
  void RefuseAllWaiting(Answers* answers) DROVER_REQUIRES(mutex_);

  const Clock& clock_;
  const std::function<void(Duration)> on_sent_;

  Mutex mutex_;
  Held held_ DROVER_GUARDED_BY(mutex_);
  std::map<const Subscriber*, Stream> streams_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_PUBLISHER_H_
