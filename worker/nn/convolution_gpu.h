// Convolution (convolution.h) on a GPU: windows are copied into the rows of a matrix, slice by
// slice of the micro-batch, and the rest is products. Slices bound the memory for it: a slice is as
// many samples as fit, at least one. Not thread-safe; owned by one GpuModel.
//
// With the windows W of a slice, filters F in the order [filters, kernel, kernel, channels], and y
// as a matrix [samples * windows, filters]:
//   y = W F^T + bias     dF = sum over slices, in order, of dy^T W     dW = dy F, which every value
// of dx gathers from the windows that contain it, row by row. All sums and dW are float32.

#ifndef DROVER_WORKER_NN_CONVOLUTION_GPU_H_
#define DROVER_WORKER_NN_CONVOLUTION_GPU_H_

#include "worker/nn/convolution.h"
#include "worker/nn/gpu_layer.h"

namespace drover {

class ConvolutionGpu : public GpuLayer {
 public:
  static constexpr size_t kSliceBytes = size_t{64} << 20;

  // `slice_bytes`: what the windows of a slice may take.
  ConvolutionGpu(const Layer& same, const ConvolutionSpec& spec, const Dims& input,
                 const LayerSetting& setting, size_t slice_bytes = kSliceBytes);

  GpuBytes bytes() const override;
  Status Forward(const GpuForwardPass& pass) override;
  Status Backward(const GpuBackwardPass& pass) override;

 private:
  // Samples [first, first + shape.samples) of the micro-batch.
  struct Slice {
    int64_t first;
    ConvolutionShape shape;
    int64_t rows;    // Of matrices with a row per window.
    int64_t input;   // Of its values in x ...
    int64_t output;  // ... and in y.
  };
  Slice SliceAt(int64_t first) const;
  Status BackwardSlice(const GpuBackwardPass& pass, const Slice& slice) const;
  Status SliceInputGradient(const GpuBackwardPass& pass, const Slice& slice) const;

  const ConvolutionShape shape_;
  const ValueType type_;
  const int64_t window_;         // Values of one: k * k * channels.
  const int64_t stride_;         // Of rows of windows and filters: rows begin at 16 bytes.
  const int64_t slice_samples_;  // Of all slices but the last.

  // Where things are in `scratch`.
  const size_t gradients_at_;  // [filters, stride_] float32; before it filters, likewise, of type_.
  const size_t windows_at_;    // [rows of a slice, stride_], type_ or float32.
  const size_t sums_at_;       // Of ColumnSumsOnGpu.
};

// Row (s, i, j) of `windows` is window (i, j) of sample s, in the order down, across, channels,
// with 0 outside the image; x and windows are of one type. windows: [samples * windows, stride], of
// which the columns from k * k * channels on are left alone. `stride`: a multiple of 8, here and
// below.
Status UnfoldOnGpu(const ConvolutionShape& shape, ConstGpuValues x, int64_t stride,
                   GpuValues windows, const GpuStream& stream);
// The other way, for gradients: dx is the sum of what the windows have for it.
Status FoldOnGpu(const ConvolutionShape& shape, const float* windows, int64_t stride, GpuValues dx,
                 const GpuStream& stream);

// weight: "<name>.weight" of convolution.h. filters, gradients: [filters, stride], each row
// [kernel, kernel, channels]; filters of the weight's type.
Status ReorderFiltersOnGpu(const ConvolutionShape& shape, ConstGpuValues weight, int64_t stride,
                           GpuValues filters, const GpuStream& stream);
Status StoreFilterGradientOnGpu(const ConvolutionShape& shape, const float* gradients,
                                int64_t stride, const GradientSum& dweight,
                                const GpuStream& stream);

}  // namespace drover

#endif  // DROVER_WORKER_NN_CONVOLUTION_GPU_H_
