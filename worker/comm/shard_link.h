// The way to one shard: a stream of frames that comes back after every break. Keeps each pushed
// chunk until the shard has acknowledged it and sends it again after a break: the shard recognises
// what it has counted already. Knows nothing of leases or of what a version is made of.
// Thread-safe. Callbacks run on the link's threads and must neither block nor close the link.

#ifndef DROVER_WORKER_COMM_SHARD_LINK_H_
#define DROVER_WORKER_COMM_SHARD_LINK_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "common/rpc/channel_security.h"
#include "common/rpc/frame.h"
#include "common/rpc/redial.h"
#include "common/rpc/tensor_stream.h"
#include "worker/comm/weights_inbox.h"

namespace drover {

class ShardLink {
 public:
  // A frame whose checksum is refused this often is damaged where it lies, not on the way.
  static constexpr int kSendsMax = 4;

  struct Options {
    std::string address;
    std::string shard;   // Name, for messages.
    std::string worker;  // Name.
    ChannelSecurity security;
    std::string token;  // Of this job and epoch.
    // What every frame of this link carries.
    uint64_t job = 0;
    uint32_t epoch = 0;
    uint64_t layout_hash = 0;
    // kAck of a pushed frame, once; it is forgotten by then. A checksum that is refused is answered
    // by sending the frame again, at most kSendsMax times.
    std::function<void(const FrameHeader& ack)> on_ack;
    // kDamaged breaks the stream, and the version is pulled again; so does kForeign, after
    // on_foreign.
    std::function<WeightsInbox::Arrival(const ReceivedFrame& frame)> on_weights;
    std::function<void(int64_t current_version)> on_gone;
    // The shard sends what this build cannot take, and will again: whoever made the link gives the
    // job up. `why` names the shard.
    std::function<void(const std::string& why)> on_foreign;
    // A pushed frame went out, for the first time or again. May be empty.
    std::function<void(const FrameHeader& header)> on_sent;
    std::function<void()> on_retry;  // Before every stream but the first. May be empty.
  };

  explicit ShardLink(Options options);
  ~ShardLink();  // Closes.
  ShardLink(const ShardLink&) = delete;
  ShardLink& operator=(const ShardLink&) = delete;

  // Cancels the stream and drops what was pushed; returns when no callback runs. Repeatable. Push
  // and Pull do nothing from then on.
  void Close() DROVER_EXCLUDES(mutex_);

  // `header` names the chunk; `frame` holds its memory until it is acknowledged. Never blocks: the
  // caller's leases bound what is kept.
  void Push(const FrameHeader& header, grpc::ByteBuffer frame) DROVER_EXCLUDES(mutex_);

  // Asks for a version, as soon as it exists; replaces an earlier request that was not answered.
  void Pull(int64_t version) DROVER_EXCLUDES(mutex_);

  // Of the same job and epoch, for streams that are opened from now on.
  void SetToken(const std::string& token) DROVER_EXCLUDES(mutex_);

  // Drops what was pushed and not acknowledged: its lease is void.
  void ForgetPushes() DROVER_EXCLUDES(mutex_);

  // A header with job, epoch and layout of this link filled in.
  FrameHeader NewHeader(FrameType type) const;

 private:
  // Type, step, first block, leaves: what an acknowledgement echoes.
  using Key = std::tuple<FrameType, uint64_t, uint32_t, LeafRange>;
  static Key KeyOf(FrameType type, const FrameHeader& header) {
    return {type, header.step, header.block_begin, header.leaves()};
  }
  struct Pushed {
    FrameHeader header;
    grpc::ByteBuffer frame;
    int refused = 0;  // How often its checksum was.
  };

  void Run();
  std::string Token() DROVER_EXCLUDES(mutex_);
  Redial::Ending Connect();  // One stream, to its end.
  // Until the stream ends, or what comes breaks it: then the reason.
  Status ReadAll(TensorClientStream* stream, bool* useful);
  void WriteAll(TensorClientStream* stream);
  std::optional<Pushed> NextToWrite() DROVER_EXCLUDES(mutex_);
  Status Handle(const ReceivedFrame& frame);  // An error breaks the stream.
  Status OnWeights(const ReceivedFrame& frame);
  void OnGone(const FrameHeader& header);
  void OnAck(const FrameHeader& ack);

  const Options options_;
  const std::shared_ptr<grpc::Channel> channel_;
  Mutex mutex_;
  CondVar changed_;
  std::map<Key, Pushed> pushed_ DROVER_GUARDED_BY(mutex_);  // Not acknowledged.
  // Keys of what is still to be written on this stream; those that were forgotten are skipped.
  std::deque<Key> to_write_ DROVER_GUARDED_BY(mutex_);
  std::optional<int64_t> pull_ DROVER_GUARDED_BY(mutex_);  // Not answered yet.
  bool pull_written_ DROVER_GUARDED_BY(mutex_) = false;    // On this stream.
  TensorClientStream* stream_ DROVER_GUARDED_BY(mutex_) = nullptr;
  std::string token_ DROVER_GUARDED_BY(mutex_);
  bool closed_ DROVER_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_SHARD_LINK_H_
