// Four neighbouring elements per thread: accesses of 16 bytes where all four exist (`left` >= 4),
// else one by one. Addresses of element 0 are multiples of 4 elements. "Streaming" is for data that
// is not touched again soon: the first to leave the cache.

#ifndef DROVER_COMMON_GPU_ACCESS_CUH_
#define DROVER_COMMON_GPU_ACCESS_CUH_

#include <stdint.h>

#include "common/gpu/kernel.h"

namespace drover {

template <typename T>
__device__ __forceinline__ void ReadTail(const T* from, int left, T (&to)[4]) {
  DROVER_UNROLL
  for (int k = 0; k < 4; ++k) {
    if (k < left) to[k] = from[k];
  }
}

template <typename T>
__device__ __forceinline__ void WriteTail(T* to, int left, const T (&from)[4]) {
  DROVER_UNROLL
  for (int k = 0; k < 4; ++k) {
    if (k < left) to[k] = from[k];
  }
}

__device__ __forceinline__ void ReadFour(const float* from, int left, float (&to)[4]) {
  if (left < 4) return ReadTail(from, left, to);
  const float4 four = *reinterpret_cast<const float4*>(from);
  to[0] = four.x;
  to[1] = four.y;
  to[2] = four.z;
  to[3] = four.w;
}

__device__ __forceinline__ void ReadFour(const int64_t* from, int left, int64_t (&to)[4]) {
  if (left < 4) return ReadTail(from, left, to);
  const longlong2* pairs = reinterpret_cast<const longlong2*>(from);
  to[0] = pairs[0].x;
  to[1] = pairs[0].y;
  to[2] = pairs[1].x;
  to[3] = pairs[1].y;
}

__device__ __forceinline__ void ReadFourStreaming(const float* from, int left, float (&to)[4]) {
  if (left < 4) return ReadTail(from, left, to);
  const float4 four = __ldcs(reinterpret_cast<const float4*>(from));
  to[0] = four.x;
  to[1] = four.y;
  to[2] = four.z;
  to[3] = four.w;
}

__device__ __forceinline__ void ReadFourStreaming(const int64_t* from, int left, int64_t (&to)[4]) {
  if (left < 4) return ReadTail(from, left, to);
  const longlong2 low = __ldcs(reinterpret_cast<const longlong2*>(from));
  const longlong2 high = __ldcs(reinterpret_cast<const longlong2*>(from) + 1);
  to[0] = low.x;
  to[1] = low.y;
  to[2] = high.x;
  to[3] = high.y;
}

__device__ __forceinline__ void ReadFourStreaming(const uint16_t* from, int left,
                                                  uint16_t (&to)[4]) {
  if (left < 4) return ReadTail(from, left, to);
  const ushort4 four = __ldcs(reinterpret_cast<const ushort4*>(from));
  to[0] = four.x;
  to[1] = four.y;
  to[2] = four.z;
  to[3] = four.w;
}

__device__ __forceinline__ void WriteFour(float* to, int left, const float (&from)[4]) {
  if (left < 4) return WriteTail(to, left, from);
  *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
}

__device__ __forceinline__ void WriteFourStreaming(float* to, int left, const float (&from)[4]) {
  if (left < 4) return WriteTail(to, left, from);
  __stcs(reinterpret_cast<float4*>(to), make_float4(from[0], from[1], from[2], from[3]));
}

__device__ __forceinline__ void WriteFourStreaming(uint16_t* to, int left,
                                                   const uint16_t (&from)[4]) {
  if (left < 4) return WriteTail(to, left, from);
  __stcs(reinterpret_cast<ushort4*>(to), make_ushort4(from[0], from[1], from[2], from[3]));
}

__device__ __forceinline__ void WriteFourStreaming(int64_t* to, int left,
                                                   const int64_t (&from)[4]) {
  if (left < 4) return WriteTail(to, left, from);
  __stcs(reinterpret_cast<longlong2*>(to), make_longlong2(from[0], from[1]));
  __stcs(reinterpret_cast<longlong2*>(to) + 1, make_longlong2(from[2], from[3]));
}

}  // namespace drover

#endif  // DROVER_COMMON_GPU_ACCESS_CUH_
