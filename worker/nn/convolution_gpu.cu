// Pairs with convolution_gpu.h. Neighbouring threads take neighbouring channels, so that windows,
// images and their gradients are touched in whole sectors. Unfolding writes k * k values for each
// value of the image and reads them from the cache; folding reads them back as float32.

#include <algorithm>
#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/convolution_gpu.h"
#include "worker/nn/gpu_access.cuh"
#include "worker/nn/gpu_words.cuh"
#include "worker/nn/window_gpu.cuh"

namespace drover {
namespace {

constexpr int kThreads = 256;
constexpr uint32_t kWarp = 32;
constexpr uint32_t kThreadRows = 8;  // Rows that one thread copies, for one calculation of columns.

struct Axes {
  GpuWindowAxis height;
  GpuWindowAxis width;
};

Axes AxesOf(const ConvolutionShape& s) { return {ToGpu(s.height), ToGpu(s.width)}; }

uint32_t BlocksOf(int64_t values) {
  return static_cast<uint32_t>((values + kThreads - 1) / kThreads);
}

// Columns and channels count words.
struct Rows {
  uint32_t count;
  uint32_t columns;
  uint32_t stride;
  uint32_t channels;
};

template <typename Word>
__global__ void __launch_bounds__(kThreads)
    UnfoldKernel(Axes axes, Rows rows, const Word* x, Word* windows) {
  const uint32_t column = blockIdx.y * blockDim.x + threadIdx.x;
  if (column >= rows.columns) return;
  const uint32_t place = column / rows.channels;
  const uint32_t channel = column - place * rows.channels;
  const int32_t u = static_cast<int32_t>(place) / axes.width.size;
  const int32_t v = static_cast<int32_t>(place) - u * axes.width.size;
  const auto down = static_cast<uint32_t>(axes.height.count);
  const auto across = static_cast<uint32_t>(axes.width.count);
  for (uint32_t k = 0; k < kThreadRows; ++k) {
    const uint32_t row = (blockIdx.x * kThreadRows + k) * blockDim.y + threadIdx.y;
    if (row >= rows.count) return;
    const uint32_t line = row / across;
    const uint32_t sample = line / down;
    const int32_t a = BeginOf(axes.height, static_cast<int32_t>(line - sample * down)) + u;
    const int32_t b = BeginOf(axes.width, static_cast<int32_t>(row - line * across)) + v;
    Word word = {};
    if (a >= 0 && a < axes.height.extent && b >= 0 && b < axes.width.extent) {
      const int64_t pixel = (int64_t{sample} * axes.height.extent + a) * axes.width.extent + b;
      word = x[pixel * rows.channels + channel];
    }
    windows[int64_t{row} * rows.stride + column] = word;
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    FoldKernel(Axes axes, int32_t channels, int64_t stride, int64_t values, const float* windows,
               T* dx) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= values) return;
  const PixelPlace at = PlaceOf(index, axes.height.extent, axes.width.extent, channels);
  const WindowRange down = WindowsOver(axes.height, at.row);
  const WindowRange across = WindowsOver(axes.width, at.column);
  float sum = 0.0f;
  for (int32_t i = down.first; i < down.end; ++i) {
    const int32_t u = at.row - BeginOf(axes.height, i);
    for (int32_t j = across.first; j < across.end; ++j) {
      const int32_t v = at.column - BeginOf(axes.width, j);
      const int64_t row = (at.sample * axes.height.count + i) * axes.width.count + j;
      const int64_t column = (int64_t{u} * axes.width.size + v) * channels + at.channel;
      sum += windows[row * stride + column];
    }
  }
  SetValue(dx, index, sum);
}

// Where filters are in both orders. places: kernel * kernel.
struct FilterOrder {
  int64_t values;
  int64_t channels;
  int64_t places;
  int64_t stride;

  // In [filters, stride], of element `index` of [filters, channels, places].
  __device__ int64_t Target(int64_t index) const {
    const int64_t line = index / places;
    const int64_t filter = line / channels;
    return filter * stride + (index - line * places) * channels + line - filter * channels;
  }
};

FilterOrder OrderOf(const ConvolutionShape& s, int64_t stride) {
  const int64_t places = s.height.size * s.width.size;
  return {s.filters * s.channels * places, s.channels, places, stride};
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    ReorderFiltersKernel(FilterOrder order, const T* weight, T* filters) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index < order.values) filters[order.Target(index)] = weight[index];
}

__global__ void __launch_bounds__(kThreads)
    StoreFilterGradientKernel(FilterOrder order, const float* gradients, bool accumulate,
                              float* dweight) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= order.values) return;
  const float gradient = gradients[order.Target(index)];
  dweight[index] = accumulate ? dweight[index] + gradient : gradient;
}

}  // namespace

Status UnfoldOnGpu(const ConvolutionShape& shape, ConstGpuValues x, int64_t stride,
                   GpuValues windows, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const auto value_bytes = static_cast<int64_t>(BytesOf(x.type));
  ForWord(shape.channels * value_bytes, [&](auto word) {
    using Word = decltype(word);
    const auto words = [&](int64_t values) {
      return static_cast<uint32_t>(values * value_bytes / static_cast<int64_t>(sizeof(Word)));
    };
    const int64_t row_count = shape.samples * shape.height.count * shape.width.count;
    const Rows rows = {.count = static_cast<uint32_t>(row_count),
                       .columns = words(shape.height.size * shape.width.size * shape.channels),
                       .stride = words(stride),
                       .channels = words(shape.channels)};
    // Blocks are as wide as a row in whole warps, and as high as threads are left.
    const uint32_t width = std::min<uint32_t>((rows.columns + kWarp - 1) / kWarp * kWarp, kThreads);
    const uint32_t height = kThreads / width;
    const uint32_t block_rows = height * kThreadRows;
    const dim3 grid((rows.count + block_rows - 1) / block_rows, (rows.columns + width - 1) / width);
    DROVER_LAUNCH(UnfoldKernel<Word>, grid, dim3(width, height), 0, handle, AxesOf(shape), rows,
                  static_cast<const Word*>(x.data), static_cast<Word*>(windows.data));
  });
  return LaunchStatus("UnfoldKernel");
}

Status FoldOnGpu(const ConvolutionShape& shape, const float* windows, int64_t stride, GpuValues dx,
                 const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const int64_t values = shape.samples * shape.height.extent * shape.width.extent * shape.channels;
  ForType(dx, [&](auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    DROVER_LAUNCH(FoldKernel<T>, BlocksOf(values), kThreads, 0, handle, AxesOf(shape),
                  static_cast<int32_t>(shape.channels), stride, values, windows, typed);
  });
  return LaunchStatus("FoldKernel");
}

Status ReorderFiltersOnGpu(const ConvolutionShape& shape, ConstGpuValues weight, int64_t stride,
                           GpuValues filters, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const FilterOrder order = OrderOf(shape, stride);
  ForType(weight, [&](const auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    DROVER_LAUNCH(ReorderFiltersKernel<T>, BlocksOf(order.values), kThreads, 0, handle, order,
                  typed, static_cast<T*>(filters.data));
  });
  return LaunchStatus("ReorderFiltersKernel");
}

Status StoreFilterGradientOnGpu(const ConvolutionShape& shape, const float* gradients,
                                int64_t stride, const GradientSum& dweight,
                                const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const FilterOrder order = OrderOf(shape, stride);
  DROVER_LAUNCH(StoreFilterGradientKernel, BlocksOf(order.values), kThreads, 0, handle, order,
                gradients, dweight.accumulate, dweight.values);
  return LaunchStatus("StoreFilterGradientKernel");
}

}  // namespace drover
