// GradientSums on a GPU. A frame is checked against its checksum while it is copied into pinned
// memory, goes to the device and is added there, in range or not at all; the call returns when that
// is done. Calls for different chunks have streams of their own, so that copies and sums overlap.
// The mean gradient is also kept in host memory, for the redo log. Threads: see gradient_sums.h.

#ifndef DROVER_SERVER_SHARD_GPU_GRADIENT_SUMS_H_
#define DROVER_SERVER_SHARD_GPU_GRADIENT_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/gpu/device.h"
#include "common/tensor/layout.h"
#include "server/optim/update_plan_gpu.h"
#include "server/shard/gpu_range.h"
#include "server/shard/gradient_sums.h"

namespace drover {

class GpuGradientSums : public GradientSums {
 public:
  // kResourceExhausted when the buffers do not fit.
  static Result<std::unique_ptr<GpuGradientSums>> Make(std::shared_ptr<GpuRange> range);
  ~GpuGradientSums() override;

  PayloadOutcome Sum(size_t chunk, const ReceivedFrame& frame, const PayloadRules& rules) override;
  void ToMean(size_t chunk, double factor) override;
  void LoadMean(size_t chunk, std::span<const float> mean) override;
  std::span<const float> mean(size_t chunk) const override;
  const std::vector<double>& block_squares() const override { return block_squares_; }
  size_t bytes() const override;

 private:
  struct Chunk {
    BlockRange blocks;
    uint64_t first = 0;     // Index of its first element in the arrays of the range.
    uint64_t elements = 0;  // Gaps between tensors included.
    UpdatePlanOnGpu plan;   // Of its blocks, offsets from `first`.
  };
  // What one call needs for itself: a stream, and memory for the largest chunk.
  struct Lane;
  class LentLane;

  GpuGradientSums(std::shared_ptr<GpuRange> range, std::vector<Chunk> chunks,
                  PinnedBuffer<float> mean);
  Result<std::unique_ptr<Lane>> MakeLane() const;

  const std::shared_ptr<GpuRange> range_;
  const std::vector<Chunk> chunks_;
  const PinnedBuffer<float> mean_;  // Host copy.
  std::vector<double> block_squares_;

  Mutex mutex_;
  // Made when all others are in use, so as many as threads ever called at once.
  std::vector<std::unique_ptr<Lane>> free_lanes_ DROVER_GUARDED_BY(mutex_);
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_GPU_GRADIENT_SUMS_H_
