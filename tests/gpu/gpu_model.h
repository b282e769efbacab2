// A model whose tensors are all updated on a GPU, or on the emulator: the counterpart of
// WholeModel, which its results must equal bit for bit. For tests; one thread.

#ifndef DROVER_TESTS_GPU_GPU_MODEL_H_
#define DROVER_TESTS_GPU_GPU_MODEL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/gpu/device.h"
#include "common/tensor/layout.h"
#include "server/optim/settings.h"
#include "server/optim/update_plan_gpu.h"

namespace drover {

class GpuModel {
 public:
  struct Options {
    bool from_sums = false;        // The update converts the sums itself.
    bool fused = false;            // Of rules with a trust ratio.
    bool in_place = false;         // Version t + 1 replaces version t.
    bool publish = false;          // Keep the bfloat16 copy.
    uint32_t multiprocessors = 2;  // The fused update is cut up for so many.
  };

  // One group per tensor.
  GpuModel(OptimizerSettings settings, const std::vector<std::vector<float>>& initial,
           std::vector<GroupSettings> groups, Options options);

  // sums: one array per tensor; the mean gradient is float32(double(sum) * mean_factor).
  void Update(double learning_rate, const std::vector<std::vector<int64_t>>& sums,
              double mean_factor);

  // The norms of every block before such an update; changes nothing.
  std::vector<BlockNorms> Measure(double learning_rate,
                                  const std::vector<std::vector<int64_t>>& sums,
                                  double mean_factor);

  double clip_factor() const { return clip_factor_; }  // Of the last update or measure.
  std::vector<float> Weight(size_t tensor) const { return Part(weight_, tensor); }
  std::vector<float> Slot(size_t slot, size_t tensor) const { return Part(slots_[slot], tensor); }
  std::vector<float> Slow(size_t tensor) const { return Part(slow_, tensor); }
  std::vector<uint16_t> Published(size_t tensor) const { return Part(published_, tensor); }
  // Of the last update of a rule with a trust ratio.
  const std::vector<TensorRatio>& ratios() const { return ratios_; }

 private:
  template <typename T>
  std::vector<T> Part(const DeviceBuffer<T>& buffer, size_t tensor) const;
  double ClipFactorOf(const std::vector<double>& block_squares) const;
  // Sums, gradient and numbers of update `update` are on the device when the stream has passed.
  UpdateArrays Prepare(int64_t update, double learning_rate,
                       const std::vector<std::vector<int64_t>>& sums, double mean_factor);
  // The scales come to tensor_scales_, by the host or by the device.
  void Run(double learning_rate, const UpdateNumbersOnGpu& numbers, const UpdateArrays& arrays);

  const OptimizerSettings settings_;
  const std::vector<GroupSettings> groups_;
  const Options options_;
  const Layout layout_;
  const UpdatePlan plan_;
  const GpuStream stream_;
  const UpdatePlanOnGpu tables_;
  std::optional<FusedUpdate> fused_;
  int64_t update_ = 0;
  double clip_factor_ = 1.0;
  DeviceBuffer<float> weight_, next_weight_, gradient_, slow_, tensor_scales_;
  std::array<DeviceBuffer<float>, kSlotsMax> slots_;
  DeviceBuffer<int64_t> sums_;
  DeviceBuffer<uint16_t> published_;
  DeviceBuffer<UpdateGroup> update_groups_;
  DeviceBuffer<UpdateStep> step_;
  DeviceBuffer<BlockNorms> strip_norms_, block_norms_;
  DeviceBuffer<double> strip_squares_, block_squares_;
  DeviceBuffer<TensorRatio> tensor_ratios_;
  std::vector<TensorRatio> ratios_;
};

}  // namespace drover

#endif  // DROVER_TESTS_GPU_GPU_MODEL_H_
