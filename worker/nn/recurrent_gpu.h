// Recurrent layers (recurrent.h) on a GPU: their directions (recurrent_direction_gpu.h) one after
// the other, between the order of activations, [B, T, ...], and the time-major one. Not
// thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_RECURRENT_GPU_H_
#define DROVER_WORKER_NN_RECURRENT_GPU_H_

#include <vector>

#include "worker/nn/gpu_layer.h"
#include "worker/nn/recurrent.h"
#include "worker/nn/recurrent_direction_gpu.h"

namespace drover {

class RecurrentGpu : public GpuLayer {
 public:
  RecurrentGpu(const Layer& same, const RecurrentSpec& spec, const Dims& input,
               const LayerSetting& setting);

  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  // The pass of direction d, and where its outputs are in an array of the layer's.
  GpuDirectionPass PassOf(size_t d, const GpuLane& lane, std::span<const GpuWeight> weights,
                          std::byte* kept, std::byte* scratch) const;
  template <typename Values>
  GpuRecurrentOutput<Values> OutputOf(const Values& values, size_t d) const;

  const RecurrentShape shape_;
  const ValueType type_;
  std::vector<RecurrentDirectionGpu> directions_;  // One or two.
  // Scratch: x [T, B, F], dx likewise in float32, then that of the directions.
  size_t dx_at_ = 0;
  size_t directions_at_ = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECURRENT_GPU_H_
