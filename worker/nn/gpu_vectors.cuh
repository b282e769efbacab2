// Several neighbouring values per thread: 16 bytes in one access, four of float32 or eight of
// bfloat16; or one value, where rows do not begin at multiples of 16 bytes. float32 in registers,
// as in gpu_access.cuh.

#ifndef DROVER_WORKER_NN_GPU_VECTORS_CUH_
#define DROVER_WORKER_NN_GPU_VECTORS_CUH_

#include <stdint.h>

#include <type_traits>

#include "common/gpu/kernel.h"
#include "worker/nn/gpu_access.cuh"

namespace drover {

template <typename T>
inline constexpr int kVectorOf = 16 / static_cast<int>(sizeof(T));

// Whether rows of this many values all begin at a multiple of 16 bytes if the first does.
template <typename T>
bool RowsAreAligned(int64_t size) {
  return size % kVectorOf<std::remove_cv_t<T>> == 0;
}

// `from` is a multiple of 16 bytes unless kWidth is 1; kWidth is 1 or a multiple of kVectorOf<T>.
template <int kWidth>
__device__ __forceinline__ void ReadVector(const float* from, float (&to)[kWidth]) {
  if constexpr (kWidth == 1) {
    to[0] = *from;
  } else {
    static_assert(kWidth % 4 == 0);
    DROVER_UNROLL
    for (int i = 0; i < kWidth; i += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + i);
      to[i] = four.x;
      to[i + 1] = four.y;
      to[i + 2] = four.z;
      to[i + 3] = four.w;
    }
  }
}

__device__ __forceinline__ void WidenPair(unsigned int pair, float* first, float* second) {
  *first = __uint_as_float(pair << 16);
  *second = __uint_as_float(pair & 0xffff0000u);
}

template <int kWidth>
__device__ __forceinline__ void ReadVector(const uint16_t* from, float (&to)[kWidth]) {
  if constexpr (kWidth == 1) {
    to[0] = FromBf16(*from);
  } else {
    static_assert(kWidth % 8 == 0);
    DROVER_UNROLL
    for (int i = 0; i < kWidth; i += 8) {
      const uint4 eight = *reinterpret_cast<const uint4*>(from + i);
      WidenPair(eight.x, &to[i], &to[i + 1]);
      WidenPair(eight.y, &to[i + 2], &to[i + 3]);
      WidenPair(eight.z, &to[i + 4], &to[i + 5]);
      WidenPair(eight.w, &to[i + 6], &to[i + 7]);
    }
  }
}

template <int kWidth>
__device__ __forceinline__ void WriteVector(float* to, const float (&from)[kWidth]) {
  if constexpr (kWidth == 1) {
    *to = from[0];
  } else {
    static_assert(kWidth % 4 == 0);
    DROVER_UNROLL
    for (int i = 0; i < kWidth; i += 4) {
      *reinterpret_cast<float4*>(to + i) =
          make_float4(from[i], from[i + 1], from[i + 2], from[i + 3]);
    }
  }
}

// As ToBf16 of both, in one instruction, but that a NaN becomes another one.
__device__ __forceinline__ unsigned int RoundPair(float first, float second) {
#ifdef __CUDACC__
  unsigned int pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  return unsigned{ToBf16(first)} | unsigned{ToBf16(second)} << 16;
#endif
}

template <int kWidth>
__device__ __forceinline__ void WriteVector(uint16_t* to, const float (&from)[kWidth]) {
  if constexpr (kWidth == 1) {
    *to = ToBf16(from[0]);
  } else {
    static_assert(kWidth % 8 == 0);
    DROVER_UNROLL
    for (int i = 0; i < kWidth; i += 8) {
      *reinterpret_cast<uint4*>(to + i) =
          make_uint4(RoundPair(from[i], from[i + 1]), RoundPair(from[i + 2], from[i + 3]),
                     RoundPair(from[i + 4], from[i + 5]), RoundPair(from[i + 6], from[i + 7]));
    }
  }
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_VECTORS_CUH_
