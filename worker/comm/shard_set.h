// All shards of one job and epoch: a link to each, where every chunk lies, and the version that is
// on its way from them. Decides nothing: what to pull and push is the training loop's business.
// Thread-safe, but for Close.

#ifndef DROVER_WORKER_COMM_SHARD_SET_H_
#define DROVER_WORKER_COMM_SHARD_SET_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/channel_security.h"
#include "common/rpc/frame.h"
#include "common/tensor/layout.h"
#include "worker/comm/chunk_map.h"
#include "worker/comm/shard_link.h"
#include "worker/comm/weights_inbox.h"

namespace drover {

// Who has pushed, and waits for the shards' answers.
class AckReceiver {
 public:
  virtual ~AckReceiver() = default;
  // `part`: index of the shard. On a link's thread; must not block.
  virtual void OnAck(size_t part, const FrameHeader& ack) = 0;
};

class ShardSet {
 public:
  struct Shard {
    std::string name;
    std::string address;
    BlockRange blocks;
  };
  struct Options {
    std::string worker;  // Name.
    ChannelSecurity security;
    std::string token;  // Shown to the shards.
    uint64_t job = 0;
    uint32_t epoch = 0;
    std::shared_ptr<const Layout> layout;
    std::vector<Shard> shards;
    std::shared_ptr<WeightsPool> pool;
    std::optional<WeightsInbox::Listener> on_weights = std::nullopt;
    // The expected version is whole, or gone, or `foreign` says something. On a link's thread; must
    // not block.
    std::function<void()> on_change;
    // Gradients and weights that crossed the network, for figures; each may be empty.
    std::function<void(const FrameHeader&)> on_sent;
    std::function<void(const FrameHeader&)> on_received;
    std::function<void()> on_retry;  // A stream is dialled again. May be empty.
  };

  // Dials in the background. kInvalidArgument unless each block of the layout is on one shard.
  static Result<std::shared_ptr<ShardSet>> Connect(Options options);
  ~ShardSet();
  ShardSet(const ShardSet&) = delete;
  ShardSet& operator=(const ShardSet&) = delete;

  // Ends all streams; returns when no callback runs. Pushes and pulls do nothing from then on.
  // Whoever made this calls it before letting go, on a thread that is not a link's.
  void Close();

  const std::shared_ptr<const Layout>& layout() const { return options_.layout; }
  const std::shared_ptr<const ChunkMap>& chunks() const { return chunks_; }
  size_t size() const { return links_.size(); }

  // Of every shard, as soon as it exists; what had arrived of another version is dropped.
  void Pull(int64_t version);
  // Version and arrival of what Pull asked for.
  const WeightsInbox& inbox() const { return inbox_; }
  WeightsInbox& inbox() { return inbox_; }

  // Why the job cannot be served with these shards: one sends what this build cannot take. Empty
  // while all is well.
  std::string foreign() const DROVER_EXCLUDES(mutex_);

  // For streams that are opened from now on.
  void SetToken(const std::string& token);

  // A header with job, epoch and layout filled in.
  FrameHeader NewHeader(FrameType type) const { return links_.front()->NewHeader(type); }
  // From here on acknowledgements go to `receiver`, one at a time.
  void BeginPushes(std::shared_ptr<AckReceiver> receiver);
  void Push(size_t part, const FrameHeader& header, grpc::ByteBuffer frame);
  // Drops what was not acknowledged; nobody is told of late answers.
  void EndPushes();

 private:
  explicit ShardSet(Options options);
  ShardLink::Options LinkOptions(size_t part);
  void OnAck(size_t part, const FrameHeader& ack);
  void OnForeign(const std::string& why) DROVER_EXCLUDES(mutex_);
  WeightsInbox::Arrival OnWeights(size_t part, const ReceivedFrame& frame);

  const Options options_;
  const std::shared_ptr<const ChunkMap> chunks_;
  WeightsInbox inbox_;
  std::vector<std::unique_ptr<ShardLink>> links_;  // [shards]

  mutable Mutex mutex_;
  std::shared_ptr<AckReceiver> receiver_ DROVER_GUARDED_BY(mutex_);
  std::string foreign_ DROVER_GUARDED_BY(mutex_);  // The first one.
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_SHARD_SET_H_
