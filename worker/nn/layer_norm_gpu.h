// Layer normalisation (layer_norm.h) on a GPU. Keeps the mean and the inverse deviation of each
// row. Not thread-safe; owned by one GpuModel.

#ifndef DROVER_WORKER_NN_LAYER_NORM_GPU_H_
#define DROVER_WORKER_NN_LAYER_NORM_GPU_H_

#include <cstddef>
#include <cstdint>

#include "worker/nn/gpu_layer.h"
#include "worker/nn/layer_norm.h"
#include "worker/nn/network_spec.h"

namespace drover {

class LayerNormGpu : public GpuLayer {
 public:
  LayerNormGpu(const Layer& same, const LayerNormSpec& spec, const Dims& input,
               const LayerSetting& setting);

  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  float* Means(std::byte* kept) const { return reinterpret_cast<float*>(kept); }
  float* InverseDeviations(std::byte* kept) const {
    return reinterpret_cast<float*>(kept + AlignedBytes(RowBytes()));
  }
  size_t RowBytes() const { return static_cast<size_t>(shape_.rows) * sizeof(float); }

  const double epsilon_;
  const LayerNormShape shape_;
};

// The passes. x, y, dy, dx: [rows, size], of one type; weight, bias and their gradients: [size];
// means, inverse_deviations: [rows], written by the first. Both enqueue. Mean and variance are
// summed in double, all else in float32.
Status LayerNormForwardGpu(const GpuStream& stream, const LayerNormShape& shape, double epsilon,
                           ConstGpuValues x, const float* weight, const float* bias, float* means,
                           float* inverse_deviations, GpuValues y);
struct LayerNormBackwardArrays {
  ConstGpuValues x;
  ConstGpuValues dy;
  const float* weight;
  const float* means;
  const float* inverse_deviations;
  GpuValues dx;  // Null: nobody needs it.
  GradientSum dweight;
  GradientSum dbias;
  float* scratch;  // LayerNormScratchBytesGpu(shape).
};
Status LayerNormBackwardGpu(const GpuStream& stream, const LayerNormShape& shape,
                            const LayerNormBackwardArrays& arrays);
size_t LayerNormScratchBytesGpu(const LayerNormShape& shape);

}  // namespace drover

#endif  // DROVER_WORKER_NN_LAYER_NORM_GPU_H_
