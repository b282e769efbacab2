// Dropout (dropout.h) on a GPU. Keeps no mask: Backward draws the same numbers again. Not
// thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_DROPOUT_GPU_H_
#define DROVER_WORKER_NN_DROPOUT_GPU_H_

#include <cstdint>
#include <string>

#include "worker/nn/dropout_mask.h"
#include "worker/nn/gpu_layer.h"
#include "worker/nn/network_spec.h"

namespace drover {

class DropoutGpu : public GpuLayer {
 public:
  DropoutGpu(const Layer& same, const std::string& name, const DropoutSpec& spec, const Dims& input,
             const LayerSetting& setting);

  Status Forward(const GpuForwardPass& pass) override;
  // Of a Forward that drew.
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  Status Multiply(const GpuLane& lane, const Batch& batch, bool draws, ConstGpuValues from,
                  GpuValues to) const;

  const int64_t micro_batch_;
  const int64_t size_;  // Values per sample.
  const bool at_evaluation_;
  const bool strikes_out_;
  const DropoutMask mask_;
};

// to = from, times 0 where the mask strikes out and times draw.scale elsewhere; plus `plus`, unless
// it is null. All: [samples, size], of one type; `to` may be one of the others. positions:
// [samples] on the device; null: 0, 1, 2, ... Enqueues.
struct MaskedGpuValues {
  ConstGpuValues from;
  ConstGpuValues plus;
  GpuValues to;
};
Status MultiplyByMaskOnGpu(const GpuStream& stream, int64_t samples, int64_t size,
                           const DropoutDraw& draw, const uint64_t* positions,
                           const MaskedGpuValues& values);

}  // namespace drover

#endif  // DROVER_WORKER_NN_DROPOUT_GPU_H_
