// Brings micro-batches to a GPU while it still computes those before: pinned memory and device
// memory for two of them in turn. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_GPU_BATCHES_H_
#define DROVER_WORKER_NN_GPU_BATCHES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/batch.h"
#include "worker/nn/padded_batch.h"

namespace drover {

class GpuBatches {
 public:
  static constexpr size_t kSlots = 2;

  static size_t DeviceBytes(int64_t micro_batch, const PaddedBatch::Sizes& sizes);

  // `memory`: DeviceBytes at a multiple of 256, which stays.
  static Result<GpuBatches> Make(int64_t micro_batch, const PaddedBatch::Sizes& sizes, int device,
                                 std::byte* memory);

  // Copies a padded batch; what is enqueued in `stream` from now on finds it at the addresses that
  // are returned. Waits until the batch before the last one has left the pinned memory.
  Result<Batch> Bring(const Batch& padded, const GpuStream& stream);
  // Which of the slots has the last batch, until Done.
  size_t slot() const { return next_; }
  // Everything that reads the last batch is enqueued in `stream`.
  Status Done(const GpuStream& stream);

 private:
  struct Slot {
    PinnedBuffer<std::byte> host;
    std::byte* device;
    GpuEvent arrived;
    GpuEvent read;
  };

  GpuBatches(int64_t micro_batch, const PaddedBatch::Sizes& sizes, GpuStream copies)
      : micro_batch_(micro_batch), sizes_(sizes), copies_(std::move(copies)) {}

  int64_t micro_batch_;
  PaddedBatch::Sizes sizes_;
  GpuStream copies_;
  std::array<std::optional<Slot>, kSlots> slots_;
  size_t next_ = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_BATCHES_H_
