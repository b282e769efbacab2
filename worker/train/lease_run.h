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
#include "common/rpc/frame.h"
#include "common/tensor/fixed_point.h"
#include "worker/comm/chunk_map.h"
#include "worker/comm/host_array.h"
#include "worker/comm/host_reduce.h"
#include "worker/comm/object_pool.h"
#include "worker/comm/shard_set.h"
#include "worker/comm/weights_inbox.h"
#include "worker/train/job_setup.h"
#include "worker/train/lane_pool.h"
#include "worker/train/worker_metrics.h"

namespace drover {

using SumBuffer = HostArray<int64_t>;

// What all leases of a job in one epoch share.
struct LeaseContext {
  int64_t leaf_samples = 0;
  int fraction_bits = 0;
  std::shared_ptr<const Layout> layout;
  std::shared_ptr<const ChunkMap> chunks;
  FrameHeader header;  // Job, epoch and layout of every frame.
  std::function<void(size_t part, const FrameHeader& header, grpc::ByteBuffer frame)> push;
  // Parameter spaces, zero between tensors: nobody writes there and frames carry it.
  std::shared_ptr<ObjectPool<HostArray<float>>> floats;
  std::shared_ptr<ObjectPool<SumBuffer>> sums;
  // Adds up lanes that add leaves by themselves; null: this process does.
  std::shared_ptr<HostReduce> reduce = nullptr;
  std::function<void()> on_change;   // An outcome is there. On any thread; must not block.
  WorkerMetrics* metrics = nullptr;  // Not null.
  double sample_flops = 0;           // See worker/nn/model_flops.h; for figures.
};

// One buffer in use and one that a slow network still reads, without any allocation.
template <typename T>
std::shared_ptr<ObjectPool<HostArray<T>>> MakeBufferPool(
    const Layout& layout, const HostMemoryMaker& memory = PlainHostMemory) {
  const uint64_t elements = layout.SpanElements(layout.all_blocks());
  return std::make_shared<ObjectPool<HostArray<T>>>(
      [elements, memory] {
        return std::make_unique<HostArray<T>>(HostArray<T>::Zeroed(elements, memory));
      },
      /*free_max=*/2);
}

class LeaseRun : public LaneWork, public AckReceiver {
 public:
  struct Order {
    uint64_t lease = 0;
    int64_t step = 0;
    LeafRange leaves;  // Not empty.
  };
  enum class Outcome {
    kOpen,
    kDone,    // Every shard has every chunk.
    kVoid,    // Cancelled, or refused by a shard: others do it, or nobody needs it.
    kFailed,  // A leaf's gradient cannot be counted: the step must be skipped.
    kBroken,  // This worker cannot compute: others can.
  };
  struct Failure {  // Of kFailed; of kBroken only `leaf` and `what`.
    uint32_t leaf = 0;
    std::string tensor;
    std::string what;
  };

  // `weights`: of version order.step.
  LeaseRun(const Order& order, const LeaseContext& context, std::shared_ptr<const Weights> weights);

  const Order& order() const { return order_; }
  // Those of the order, less what was given back.
  LeafRange leaves() const { return {order_.leaves.begin, leaves_end_.load()}; }

  // From a lane: computes leaves until there are none.
  void RunOn(LeafRunner* runner, float* lane_buffer) override;
  void OnAck(size_t part, const FrameHeader& ack) override;
  void Cancel() { End(Outcome::kVoid, {}); }

  // No lane begins another leaf: the lease ends before the leaf returned, and is void when that is
  // its first. Nothing when every leaf was begun, or there is an outcome. Call it from one thread.
  std::optional<uint32_t> GiveBack();

  // What RunOn is made of.
  std::optional<uint32_t> NextLeaf();     // The next leaf to compute, or none.
  float* LeafBuffer(float* lane_buffer);  // Where it is summed: the frame's memory for one leaf.
  // Its sum is whole. Returns the sum of its squares, in the order of square_sum.h. Adds the time
  // of making frames to `encoding`, which may be null.
  double TensorFinal(uint32_t leaf, size_t tensor, const float* gradient,
                     Duration* encoding = nullptr);
  // The sum of `leaves` leaves of this lease is; null: it stands in the lease's own memory.
  void TensorSummed(uint32_t leaves, size_t tensor, const int64_t* sums, Duration* encoding);
  // `squares`: of all its tensors.
  void LeafFinal(const StepStats& stats, const SquareTotal& squares);

  Outcome outcome() const;
  Failure failure() const;
  Duration duration() const;       // From construction to the outcome.
  Duration push_duration() const;  // Of kDone: from the last leaf to the outcome.

 private:
  // RunOn for a device that adds leaves up by itself.
  void AddLeavesOn(LeafRunner* runner);
  // Of a lane's leaves, so many, this tensor's sum is whole on its GPU. `missing`: the lane's, per
  // segment: tensors that are not yet.
  Status TensorDeposited(uint32_t leaves, size_t tensor, const GpuStream& stream,
                         const int64_t* sums, std::vector<uint32_t>* missing);
  // All lanes have left it; errors as of HostReduce::Finish.
  Status FinishSegment(size_t segment);
  void EndAsBad(uint32_t leaf, size_t tensor, uint64_t element, float value);
  void TensorIsWhole(size_t tensor, Duration* encoding);
  void PushChunk(size_t chunk);
  void PushStats();
  FrameHeader NewHeader(FrameType type) const;
  // The first outcome counts.
  void End(Outcome outcome, const Failure& failure);

  const Order order_;
  const LeaseContext context_;
  const float leaf_limit_;
  const double scale_;
  const FixedPointPasses& passes_;
  const std::shared_ptr<const Weights> weights_;
  const Instant started_;
  const uint64_t reduction_;  // Of context_.reduce; 0 without.

  // One of the two, by the number of leaves. Shared with frames that are on their way.
  std::shared_ptr<HostArray<float>> single_;
  std::shared_ptr<SumBuffer> sums_;

  std::atomic<bool> cancelled_{false};  // There is an outcome: lanes stop at the next micro-batch.
  std::atomic<uint32_t> next_leaf_;
  std::atomic<uint32_t> leaves_end_;
  struct TensorState {
    Mutex mutex;
    uint32_t leaves_missing DROVER_GUARDED_BY(mutex) = 0;
    bool empty DROVER_GUARDED_BY(mutex) = true;  // The first leaf stores instead of adding.
  };
  std::vector<TensorState> tensors_;
  std::vector<std::atomic<uint32_t>> tensors_missing_;  // Per chunk.
  // With context_.reduce, else empty. Chunks are of shards, segments of the host's GPUs.
  std::vector<std::atomic<uint32_t>> segments_missing_;  // Per chunk, instead of the tensors.
  std::vector<std::atomic<uint32_t>> leaves_left_out_;   // Per segment: not deposited yet.

  mutable Mutex mutex_;
  StepStats stats_ DROVER_GUARDED_BY(mutex_);
  uint32_t leaves_missing_ DROVER_GUARDED_BY(mutex_);
  // Which chunks, then which parts' statistics, the shards have: a late answer to an earlier lease
  // of the same leaves is as good as one to this.
  std::vector<bool> acknowledged_ DROVER_GUARDED_BY(mutex_);
  size_t acks_missing_ DROVER_GUARDED_BY(mutex_);
  Outcome outcome_ DROVER_GUARDED_BY(mutex_) = Outcome::kOpen;
  Failure failure_ DROVER_GUARDED_BY(mutex_);
  Instant computed_ DROVER_GUARDED_BY(mutex_);  // The last leaf.
  Instant ended_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_LEASE_RUN_H_
