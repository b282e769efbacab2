// Pairs with max_pooling_gpu.h. One thread per value, neighbours in neighbouring channels: whole
// sectors are read and written. Windows of 2x2 that do not overlap move per result 5 values and a
// byte forward, 5 values and 4 bytes (of the cache) back.

#include <type_traits>

#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "worker/nn/gpu_access.cuh"
#include "worker/nn/max_pooling_gpu.h"
#include "worker/nn/window_gpu.cuh"

namespace drover {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBytePlaces = 256;  // Windows with more places need four bytes for one.

struct Shape {
  int32_t channels;
  GpuWindowAxis height;
  GpuWindowAxis width;
};

Shape ShapeOf(const MaxPoolingShape& shape) {
  return {static_cast<int32_t>(shape.channels), ToGpu(shape.height), ToGpu(shape.width)};
}

int64_t ResultsOf(const MaxPoolingShape& s) {
  return s.samples * s.height.count * s.width.count * s.channels;
}

bool FitsByte(const MaxPoolingShape& s) { return s.height.size * s.width.size <= kBytePlaces; }

// Calls body(pointer) with `places` as a pointer to their type.
template <typename Byte, typename Body>
void ForPlaces(const MaxPoolingShape& shape, Byte* places, const Body& body) {
  using Small = std::conditional_t<std::is_const_v<Byte>, const uint8_t, uint8_t>;
  using Large = std::conditional_t<std::is_const_v<Byte>, const uint32_t, uint32_t>;
  if (FitsByte(shape)) return body(reinterpret_cast<Small*>(places));
  body(reinterpret_cast<Large*>(places));
}

uint32_t BlocksOf(int64_t values) {
  return static_cast<uint32_t>((values + kThreads - 1) / kThreads);
}

template <typename T, typename Place>
__global__ void __launch_bounds__(kThreads)
    MaxPoolingForwardKernel(Shape s, int64_t results, const T* x, T* y, Place* places) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= results) return;
  const PixelPlace at = PlaceOf(index, s.height.count, s.width.count, s.channels);
  const int32_t top = BeginOf(s.height, at.row);
  const int32_t left = BeginOf(s.width, at.column);
  const int32_t first_u = top < 0 ? -top : 0;
  const int32_t first_v = left < 0 ? -left : 0;
  const T* const image = x + at.sample * s.height.extent * s.width.extent * s.channels + at.channel;
  float largest = 0.0f;
  int32_t place = -1;
  for (int32_t u = first_u; u < s.height.size && top + u < s.height.extent; ++u) {
    for (int32_t v = first_v; v < s.width.size && left + v < s.width.extent; ++v) {
      const float value =
          ValueAt(image, (int64_t{top + u} * s.width.extent + left + v) * s.channels);
      if (place >= 0 && !(value > largest)) continue;  // The first of equals stays.
      largest = value;
      place = u * s.width.size + v;
    }
  }
  SetValue(y, index, largest);
  places[index] = static_cast<Place>(place);
}

template <typename T, typename Place>
__global__ void __launch_bounds__(kThreads)
    MaxPoolingBackwardKernel(Shape s, int64_t values, const T* dy, const Place* places, T* dx) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= values) return;
  const PixelPlace at = PlaceOf(index, s.height.extent, s.width.extent, s.channels);
  const WindowRange down = WindowsOver(s.height, at.row);
  const WindowRange across = WindowsOver(s.width, at.column);
  float sum = 0.0f;
  for (int32_t i = down.first; i < down.end; ++i) {
    const int32_t u = at.row - BeginOf(s.height, i);
    for (int32_t j = across.first; j < across.end; ++j) {
      const int32_t v = at.column - BeginOf(s.width, j);
      const int64_t result =
          ((at.sample * s.height.count + i) * s.width.count + j) * s.channels + at.channel;
      if (places[result] == static_cast<Place>(u * s.width.size + v)) sum += ValueAt(dy, result);
    }
  }
  SetValue(dx, index, sum);
}

}  // namespace

size_t MaxPoolingPlacesBytes(const MaxPoolingShape& shape) {
  return static_cast<size_t>(ResultsOf(shape)) *
         (FitsByte(shape) ? sizeof(uint8_t) : sizeof(uint32_t));
}

Status MaxPoolingForwardOnGpu(const MaxPoolingShape& shape, ConstGpuValues x, GpuValues y,
                              std::byte* places, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const int64_t results = ResultsOf(shape);
  ForType(x, [&](const auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    ForPlaces(shape, places, [&](auto* kept) {
      using Place = std::remove_cvref_t<decltype(*kept)>;
      DROVER_LAUNCH((MaxPoolingForwardKernel<T, Place>), BlocksOf(results), kThreads, 0, handle,
                    ShapeOf(shape), results, typed, static_cast<T*>(y.data), kept);
    });
  });
  return LaunchStatus("MaxPoolingForwardKernel");
}

Status MaxPoolingBackwardOnGpu(const MaxPoolingShape& shape, ConstGpuValues dy,
                               const std::byte* places, GpuValues dx, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const auto handle = static_cast<cudaStream_t>(stream.handle());
  const int64_t values = shape.samples * shape.height.extent * shape.width.extent * shape.channels;
  ForType(dy, [&](const auto* typed) {
    using T = std::remove_cvref_t<decltype(*typed)>;
    ForPlaces(shape, places, [&](const auto* kept) {
      using Place = std::remove_cvref_t<decltype(*kept)>;
      DROVER_LAUNCH((MaxPoolingBackwardKernel<T, Place>), BlocksOf(values), kThreads, 0, handle,
                    ShapeOf(shape), values, typed, kept, static_cast<T*>(dx.data));
    });
  });
  return LaunchStatus("MaxPoolingBackwardKernel");
}

}  // namespace drover
