#include "worker/nn/convolution_gpu.h"

#include <algorithm>

#include "common/base/check.h"
#include "worker/nn/column_sums_gpu.h"

namespace drover {
namespace {

constexpr int64_t kRowValues = 8;                    // 16 bytes of bfloat16.
constexpr int64_t kSliceRowsMax = int64_t{1} << 22;  // Of a launch, far below its limits.

int64_t WindowsOf(const ConvolutionShape& s) { return s.height.count * s.width.count; }

int64_t InputOf(const ConvolutionShape& s) { return s.height.extent * s.width.extent * s.channels; }

// At least one, at most all. Eights where possible, so that slices begin at 16 bytes.
int64_t SliceSamples(const ConvolutionShape& s, int64_t stride, size_t slice_bytes) {
  const int64_t windows = WindowsOf(s);
  const auto sample_bytes = static_cast<size_t>(windows * stride) * sizeof(float);
  const int64_t fitting =
      std::min(static_cast<int64_t>(slice_bytes / sample_bytes), kSliceRowsMax / windows);
  if (fitting >= s.samples) return s.samples;
  return fitting >= kRowValues ? fitting / kRowValues * kRowValues : std::max<int64_t>(fitting, 1);
}

}  // namespace

ConvolutionGpu::ConvolutionGpu(const Layer& same, const ConvolutionSpec& spec, const Dims& input,
                               const LayerSetting& setting, size_t slice_bytes)
    : GpuLayer(same),
      shape_({.samples = setting.micro_batch,
              .channels = input[2],
              .filters = spec.filters,
              .height = MakeWindowAxis(input[0], spec.kernel, spec.stride, spec.padding),
              .width = MakeWindowAxis(input[1], spec.kernel, spec.stride, spec.padding),
              .precision = setting.precision}),
      type_(ActivationType(setting.precision)),
      window_(spec.kernel * spec.kernel * shape_.channels),
      stride_((window_ + kRowValues - 1) / kRowValues * kRowValues),
      slice_samples_(SliceSamples(shape_, stride_, slice_bytes)),
      gradients_at_(AlignedBytes(static_cast<size_t>(shape_.filters * stride_) * BytesOf(type_))),
      windows_at_(gradients_at_ +
                  AlignedBytes(static_cast<size_t>(shape_.filters * stride_) * sizeof(float))),
      sums_at_(windows_at_ +
               AlignedBytes(static_cast<size_t>(slice_samples_ * WindowsOf(shape_) * stride_) *
                            sizeof(float))) {}

GpuBytes ConvolutionGpu::bytes() const {
  return {.kept = 0,
          .scratch = sums_at_ +
                     ColumnSumsScratchBytes(slice_samples_ * WindowsOf(shape_), shape_.filters)};
}

ConvolutionGpu::Slice ConvolutionGpu::SliceAt(int64_t first) const {
  Slice slice = {.first = first, .shape = shape_, .rows = 0, .input = 0, .output = 0};
  slice.shape.samples = std::min(slice_samples_, shape_.samples - first);
  slice.rows = slice.shape.samples * WindowsOf(shape_);
  slice.input = first * InputOf(shape_);
  slice.output = first * WindowsOf(shape_) * shape_.filters;
  return slice;
}

Status ConvolutionGpu::Forward(const GpuForwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2);
  const GpuStream& stream = *pass.lane.stream;
  const GpuValues filters = {pass.scratch, type_};
  const GpuValues windows = {pass.scratch + windows_at_, type_};
  DROVER_RETURN_IF_ERROR(
      ReorderFiltersOnGpu(shape_, pass.weights[0].As(type_), stride_, filters, stream));
  for (int64_t first = 0; first < shape_.samples; first += slice_samples_) {
    const Slice slice = SliceAt(first);
    DROVER_RETURN_IF_ERROR(
        UnfoldOnGpu(slice.shape, pass.input + slice.input, stride_, windows, stream));
    DROVER_RETURN_IF_ERROR(
        pass.lane.products->Multiply({.m = slice.rows,
                                      .n = shape_.filters,
                                      .k = window_,
                                      .a = {windows, stride_},
                                      .b = {filters, stride_, /*transposed=*/true},
                                      .c = {pass.output + slice.output, shape_.filters},
                                      .bias = pass.weights[1].As(type_)},
                                     stream));
  }
  return Status();
}

Status ConvolutionGpu::Backward(const GpuBackwardPass& pass) {
  DROVER_CHECK(pass.weights.size() == 2 && pass.weight_gradients.size() == 2);
  const GpuStream& stream = *pass.lane.stream;
  if (pass.input_gradient.data != nullptr) {
    DROVER_RETURN_IF_ERROR(ReorderFiltersOnGpu(shape_, pass.weights[0].As(type_), stride_,
                                               {pass.scratch, type_}, stream));
  }
  for (int64_t first = 0; first < shape_.samples; first += slice_samples_) {
    DROVER_RETURN_IF_ERROR(BackwardSlice(pass, SliceAt(first)));
  }
  return StoreFilterGradientOnGpu(shape_,
                                  reinterpret_cast<const float*>(pass.scratch + gradients_at_),
                                  stride_, pass.weight_gradients[0], stream);
}

Status ConvolutionGpu::BackwardSlice(const GpuBackwardPass& pass, const Slice& slice) const {
  const GpuStream& stream = *pass.lane.stream;
  const ConstGpuValues dy = pass.output_gradient + slice.output;
  const GpuValues windows = {pass.scratch + windows_at_, type_};
  const bool accumulate = slice.first > 0;
  DROVER_RETURN_IF_ERROR(
      UnfoldOnGpu(slice.shape, pass.input + slice.input, stride_, windows, stream));
  DROVER_RETURN_IF_ERROR(
      pass.lane.products->Multiply({.m = shape_.filters,
                                    .n = window_,
                                    .k = slice.rows,
                                    .a = {dy, shape_.filters, /*transposed=*/true},
                                    .b = {windows, stride_},
                                    .c = {{pass.scratch + gradients_at_, ValueType::kF32}, stride_},
                                    .accumulate = accumulate},
                                   stream));
  const GradientSum& dbias = pass.weight_gradients[1];
  DROVER_RETURN_IF_ERROR(ColumnSumsOnGpu(
      slice.rows, shape_.filters, dy, {dbias.values, dbias.accumulate || accumulate},
      reinterpret_cast<float*>(pass.scratch + sums_at_), stream));
  if (pass.input_gradient.data == nullptr) return Status();
  return SliceInputGradient(pass, slice);
}

// The gradients of the windows take the place of the windows.
Status ConvolutionGpu::SliceInputGradient(const GpuBackwardPass& pass, const Slice& slice) const {
  const GpuValues windows = {pass.scratch + windows_at_, ValueType::kF32};
  DROVER_RETURN_IF_ERROR(
      pass.lane.products->Multiply({.m = slice.rows,
                                    .n = window_,
                                    .k = shape_.filters,
                                    .a = {pass.output_gradient + slice.output, shape_.filters},
                                    .b = {{pass.scratch, type_}, stride_},
                                    .c = {windows, stride_}},
                                   *pass.lane.stream));
  return FoldOnGpu(slice.shape, static_cast<const float*>(windows.data), stride_,
                   pass.input_gradient + slice.input, *pass.lane.stream);
}

}  // namespace drover
