// The way to one shard: a stream of frames that comes back after every break. Keeps each pushed
// chunk until the shard has acknowledged it and sends it again after a break: the shard recognises
// what it has counted already. Knows nothing of leases or of what a version is made of.
// Thread-safe; callbacks run on the link's reader thread and must not call back into it but for
// Push and Pull.

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
#include "common/base/thread.h"
#include "common/rpc/frame.h"
#include "common/rpc/tensor_stream.h"

namespace drover {

class ShardLink {
 public:
  struct Options {
    std::string address;
    std::string shard;   // Name, for messages.
    std::string worker;  // Name.
    // What every frame of this link carries.
    uint64_t job = 0;
    uint32_t epoch = 0;
    uint64_t layout_hash = 0;
    // kAck of a pushed frame; it is forgotten by then, unless its checksum was refused.
    std::function<void(const FrameHeader& ack)> on_ack;
    // True when this was the last missing frame of the pulled version.
    std::function<bool(const ReceivedFrame& frame)> on_weights;
    std::function<void(int64_t current_version)> on_gone;
  };

  explicit ShardLink(Options options);
  ~ShardLink();  // Cancels the stream; frames that were not acknowledged are dropped.
  ShardLink(const ShardLink&) = delete;
  ShardLink& operator=(const ShardLink&) = delete;

  // `header` names the chunk; `frame` holds its memory until it is acknowledged. Never blocks.
  void Push(const FrameHeader& header, grpc::ByteBuffer frame);

  // Asks for a version, as soon as it exists; replaces an earlier request that was not answered.
  void Pull(int64_t version);

  // Drops what was pushed and not acknowledged: its lease is void.
  void ForgetPushes();

  // A header with job, epoch and layout of this link filled in.
  FrameHeader NewHeader(FrameType type) const;

 private:
  // Type, step, first block, leaves: what an acknowledgement echoes.
  using Key = std::tuple<FrameType, uint64_t, uint32_t, LeafRange>;
  static Key KeyOf(FrameType type, const FrameHeader& header) {
    return {type, header.step, header.block_begin, header.leaves()};
  }

  void Run();
  void Connect();
  void WriteAll(TensorClientStream* stream);
  void Handle(const ReceivedFrame& frame);
  void OnAck(const FrameHeader& ack);

  const Options options_;
  const std::shared_ptr<grpc::Channel> channel_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<grpc::ByteBuffer> queue_ DROVER_GUARDED_BY(mutex_);  // To be written.
  std::map<Key, grpc::ByteBuffer> unacknowledged_ DROVER_GUARDED_BY(mutex_);
  std::optional<int64_t> pull_ DROVER_GUARDED_BY(mutex_);  // Not answered yet.
  TensorClientStream* stream_ DROVER_GUARDED_BY(mutex_) = nullptr;
  bool connected_ DROVER_GUARDED_BY(mutex_) = false;
  bool stopping_ DROVER_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_SHARD_LINK_H_
