// An UpdatePlan in the memory of a GPU, and what a fused update needs beside it. Owns its memory
// and frees it; use it from one thread at a time.

#ifndef DROVER_SERVER_OPTIM_UPDATE_PLAN_GPU_H_
#define DROVER_SERVER_OPTIM_UPDATE_PLAN_GPU_H_

#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "server/optim/update.h"
#include "server/optim/update_gpu.h"
#include "server/optim/update_plan.h"
#include "server/optim/update_tables.h"

namespace drover {

class UpdatePlanOnGpu {
 public:
  // Copies the plan to the stream's device and waits for it. Errors of GpuMemory and copies.
  static Result<UpdatePlanOnGpu> Copy(const UpdatePlan& plan, const GpuStream& stream);

  const UpdateTables& tables() const { return tables_; }

 private:
  DeviceBuffer<UpdateStrip> strips_;
  DeviceBuffer<uint32_t> block_strips_;
  DeviceBuffer<UpdateTensor> tensors_;
  UpdateTables tables_{};
};

// Tickets, counters and scratch of one fused update after the other.
class FusedUpdate {
 public:
  // `plan` has whole tensors; `on_gpu` is its copy. multiprocessors: GpuInfo's.
  static Result<FusedUpdate> Make(const UpdatePlan& plan, const UpdatePlanOnGpu& on_gpu,
                                  uint32_t multiprocessors, const GpuStream& stream);

  // FusedUpdateOnGpu.
  Status Run(Rule rule, const UpdateNumbersOnGpu& numbers, const UpdateArrays& arrays,
             const GpuStream& stream) const;

  // Device memory, [tensor_count]: results of the last run.
  const float* tensor_scales() const { return tensor_scales_.data(); }
  const TensorRatio* ratios() const { return ratios_.data(); }

 private:
  UpdateTables tables_{};
  uint32_t thread_blocks_ = 0;
  DeviceBuffer<uint32_t> tickets_;
  DeviceBuffer<uint32_t> counters_;
  DeviceBuffer<BlockNorms> strip_norms_;
  DeviceBuffer<float> tensor_scales_;
  DeviceBuffer<TensorRatio> ratios_;
};

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_UPDATE_PLAN_GPU_H_
