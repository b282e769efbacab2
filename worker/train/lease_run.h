// One lease while it is worked on: takes final tensors of leaves from the lanes, adds them up as
// fixed point, and pushes each chunk the moment its last tensor of the last leaf is in, while
// earlier layers are still in the backward pass. Counts acknowledgements. Thread-safe.
//
// A lease of one leaf goes out as float32 (4 bytes per element), a longer one as int64 sums: exact
// either way, see common/tensor/fixed_point.h.

#ifndef DROVER_WORKER_TRAIN_LEASE_RUN_H_
#define DROVER_WORKER_TRAIN_LEASE_RUN_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/tensor/buffer.h"
#include "common/tensor/fixed_point.h"
#include "worker/comm/chunk_map.h"
#include "worker/comm/shard_link.h"
#include "worker/comm/weights_inbox.h"
#include "worker/train/job_setup.h"

namespace drover {

class LeaseRun {
 public:
  struct Order {
    uint64_t lease = 0;
    int64_t step = 0;
    LeafRange leaves;
  };
  // Why a leaf cannot be counted.
  struct Failure {
    uint32_t leaf = 0;
    std::string tensor;
    std::string what;
  };
  enum class Outcome { kOpen, kDone, kVoid, kFailed };

  // `links`: one per shard, outlive this. `weights`: of version order.step.
  LeaseRun(const Order& order, const JobSetup& setup, std::shared_ptr<const Layout> layout,
           std::shared_ptr<const ChunkMap> chunks, std::vector<ShardLink*> links,
           std::shared_ptr<const Weights> weights, Instant now);

  const Order& order() const { return order_; }
  const Weights& weights() const { return *weights_; }
  Instant started() const { return started_; }
  // Set once the lease is void or has failed: lanes stop at the next micro-batch.
  const std::atomic<bool>& cancelled() const { return cancelled_; }

  // The next leaf to compute, or none. A lane calls it until it is empty.
  std::optional<uint32_t> NextLeaf();

  // Where a lane sums its leaf: its own buffer, or the frame's memory for a lease of one leaf.
  float* LeafBuffer(float* lane_buffer);

  // From a lane, for each tensor of a leaf, when its sum is whole.
  void TensorFinal(uint32_t leaf, size_t tensor, const float* gradient);
  // From a lane, after the leaf.
  void LeafFinal(const StepStats& stats);
  void LeafFailed(const Failure& failure);

  // From a link. True when it changed the outcome.
  bool OnAck(const FrameHeader& ack);

  void Cancel();
  Outcome outcome() const;
  Failure failure() const;  // kFailed only.

 private:
  void PushChunk(size_t chunk);
  void PushStats();
  bool SetOutcome(Outcome outcome);

  const Order order_;
  const int fraction_bits_;
  const float leaf_limit_;
  const double scale_;
  const FixedPointPasses& passes_;
  const std::shared_ptr<const Layout> layout_;
  const std::shared_ptr<const ChunkMap> chunks_;
  const std::vector<ShardLink*> links_;
  const std::shared_ptr<const Weights> weights_;
  const Instant started_;

  // One of the two, by the number of leaves. Shared with frames that are on their way.
  std::shared_ptr<FloatBuffer> single_;
  std::shared_ptr<Buffer<int64_t>> sums_;

  std::atomic<bool> cancelled_{false};
  std::atomic<uint32_t> next_leaf_;
  struct TensorState {
    Mutex mutex;
    uint32_t leaves_missing DROVER_GUARDED_BY(mutex) = 0;
    bool empty DROVER_GUARDED_BY(mutex) = true;  // The first leaf stores instead of adding.
  };
  std::vector<TensorState> tensors_;
  std::vector<std::atomic<uint32_t>> tensors_missing_;  // Per chunk.

  mutable Mutex mutex_;
  StepStats stats_ DROVER_GUARDED_BY(mutex_);
  uint32_t leaves_missing_ DROVER_GUARDED_BY(mutex_);
  size_t acks_missing_ DROVER_GUARDED_BY(mutex_);
  Outcome outcome_ DROVER_GUARDED_BY(mutex_) = Outcome::kOpen;
  Failure failure_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_LEASE_RUN_H_
