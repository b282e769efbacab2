// WeightArrays on a GPU: the passes of update_gpu.h over the arrays of a GpuRange. Weights are
// updated in place there, and the next version is copied to host memory, where it is served from.
// Each call returns when the device is done. Threads: see weight_arrays.h.

#ifndef DROVER_SERVER_SHARD_GPU_WEIGHT_ARRAYS_H_
#define DROVER_SERVER_SHARD_GPU_WEIGHT_ARRAYS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "server/optim/update_plan_gpu.h"
#include "server/shard/gpu_range.h"
#include "server/shard/weight_arrays.h"

namespace drover {

class GpuWeightArrays : public WeightArrays {
 public:
  // kResourceExhausted when the buffers do not fit.
  static Result<std::unique_ptr<GpuWeightArrays>> Make(std::shared_ptr<GpuRange> range);

  std::vector<float*> StateToFill() override;
  void Begin(const FloatBuffer& weights) override;
  std::vector<const float*> State() override;
  // The gradient is read where GpuGradientSums of the same range left it.
  MeasuredSquares Measure(const UpdateNumbers& numbers, const FloatBuffer& weights,
                          const Accumulator& gradient) override;
  void Apply(const UpdateNumbers& numbers, const FloatBuffer& weights, const Accumulator& gradient,
             FloatBuffer* next) override;
  size_t bytes() const override;

 private:
  // The numbers of one update on the device.
  struct Numbers {
    DeviceBuffer<UpdateStep> step;      // [1]
    DeviceBuffer<UpdateGroup> groups;   // [groups]
    DeviceBuffer<float> tensor_scales;  // [tensors]
  };

  GpuWeightArrays(std::shared_ptr<GpuRange> range, GpuStream stream,
                  DeviceBuffer<BlockNorms> strip_norms, DeviceBuffer<BlockNorms> block_norms);
  // The plan for these groups, copied when they are others than before; and the numbers.
  Status Upload(const UpdateNumbers& numbers);
  UpdateArrays ArraysOnGpu() const;

  const std::shared_ptr<GpuRange> range_;
  const GpuStream stream_;
  const DeviceBuffer<BlockNorms> strip_norms_;
  const DeviceBuffer<BlockNorms> block_norms_;
  std::vector<uint32_t> tensor_groups_;  // Of plan_.
  std::optional<UpdatePlanOnGpu> plan_;
  Numbers numbers_;
  std::vector<FloatBuffer> host_state_;  // While a state is filled or read.
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_GPU_WEIGHT_ARRAYS_H_
