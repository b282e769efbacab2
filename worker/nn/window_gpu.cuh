// Windows on images inside kernels: window.h in 32 bits, which a GPU divides several times faster.

#ifndef DROVER_WORKER_NN_WINDOW_GPU_CUH_
#define DROVER_WORKER_NN_WINDOW_GPU_CUH_

#include <stdint.h>

#include "common/gpu/kernel.h"
#include "worker/nn/window.h"

namespace drover {

// As WindowAxis; memory ends long before an extent does not fit.
struct GpuWindowAxis {
  int32_t extent;
  int32_t size;
  int32_t stride;
  int32_t before;
  int32_t count;
};

inline GpuWindowAxis ToGpu(const WindowAxis& axis) {
  return {.extent = static_cast<int32_t>(axis.extent),
          .size = static_cast<int32_t>(axis.size),
          .stride = static_cast<int32_t>(axis.stride),
          .before = static_cast<int32_t>(axis.before),
          .count = static_cast<int32_t>(axis.count)};
}

// Where a window begins on the image, or before it.
__device__ __forceinline__ int32_t BeginOf(const GpuWindowAxis& axis, int32_t window) {
  return window * axis.stride - axis.before;
}

// The windows that contain a place of the image: `first` to `end` - 1, perhaps none.
struct WindowRange {
  int32_t first;
  int32_t end;
};
__device__ __forceinline__ WindowRange WindowsOver(const GpuWindowAxis& axis, int32_t place) {
  const int32_t padded = place + axis.before;
  const int32_t end = padded / axis.stride + 1;
  return {.first = padded < axis.size ? 0 : (padded - axis.size) / axis.stride + 1,
          .end = end < axis.count ? end : axis.count};
}

// Element `index` of images [samples, height, width, channels]: `sample` counts samples, the others
// are extents below 2^31 together.
struct PixelPlace {
  int64_t sample;
  int32_t row;
  int32_t column;
  int32_t channel;
};
__device__ __forceinline__ PixelPlace PlaceOf(int64_t index, int32_t height, int32_t width,
                                              int32_t channels) {
  const int64_t sample = index / (int64_t{height} * width * channels);
  const auto rest = static_cast<uint32_t>(index - sample * (int64_t{height} * width * channels));
  const uint32_t pixel = rest / static_cast<uint32_t>(channels);
  const uint32_t row = pixel / static_cast<uint32_t>(width);
  return {.sample = sample,
          .row = static_cast<int32_t>(row),
          .column = static_cast<int32_t>(pixel - row * static_cast<uint32_t>(width)),
          .channel = static_cast<int32_t>(rest - pixel * static_cast<uint32_t>(channels))};
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_WINDOW_GPU_CUH_
