// Products of small bfloat16 matrices by the tensor cores of a warp, and how their factors come out
// of shared memory. All 32 lanes of a warp call together; blocks have one dimension.
//
// A warp holds a matrix as fragments, some elements in each lane, as the PTX ISA says under "Matrix
// Fragments for mma.m16n8k16" and "ldmatrix". With g = lane / 4 and t = lane % 4:
//   a [16, 16]   a[0]: (g, 2t) and (g, 2t + 1)   a[1]: row g + 8   a[2]: columns + 8   a[3]: both
//   b [16, 8]    b[0]: (2t, g) and (2t + 1, g)   b[1]: rows + 8
//   c [16, 8]    c[0], c[1]: (g, 2t) and (g, 2t + 1)   c[2], c[3]: row g + 8
// Two bfloat16 share a register, the first one in the lower half. So the c of two products side by
// side, rounded, are the a of another one.
//
// The emulator has the same layouts, and adds products in the order of k; tensor cores have an
// order of their own, which is the same on every run.

#ifndef DROVER_WORKER_NN_WARP_PRODUCT_CUH_
#define DROVER_WORKER_NN_WARP_PRODUCT_CUH_

#include <stdint.h>

#include "common/gpu/kernel.h"
#include "common/tensor/bf16.h"

namespace drover {

inline constexpr unsigned int kWholeWarp = 0xffffffffu;

__device__ __forceinline__ int LaneIndex() { return static_cast<int>(threadIdx.x % 32); }

// Two floats as bfloat16, `low` in the lower half.
__device__ __forceinline__ uint32_t PackBf16(float low, float high) {
#ifdef __CUDACC__
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return ToBf16(low) | static_cast<uint32_t>(ToBf16(high)) << 16;
#endif
}

// c += a b, added up in float32.
__device__ __forceinline__ void AddWarpProduct(const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                               float (&c)[4]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  // Lanes meet in an array of lane 0.
  struct Fragments {
    uint32_t a[4];
    uint32_t b[2];
  };
  Fragments of_warp[32];
  Fragments* const lanes = reinterpret_cast<Fragments*>(
      __shfl_sync(kWholeWarp, reinterpret_cast<uintptr_t>(&of_warp[0]), 0));
  lanes[LaneIndex()] = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  __syncwarp();
  const auto half = [](uint32_t pair, int index) {
    return FromBf16(static_cast<uint16_t>(index % 2 == 0 ? pair : pair >> 16));
  };
  for (int i = 0; i < 4; ++i) {
    const int row = LaneIndex() / 4 + i / 2 * 8;
    const int column = LaneIndex() % 4 * 2 + i % 2;
    for (int k = 0; k < 16; ++k) {
      const uint32_t from_a = lanes[row % 8 * 4 + k % 8 / 2].a[row / 8 + k / 8 * 2];
      const uint32_t from_b = lanes[column * 4 + k % 8 / 2].b[k / 8];
      c[i] += half(from_a, k) * half(from_b, k);
    }
  }
  __syncwarp();
#endif
}

// Four matrices of 8 x 8 values: row r of matrix i is element index_of(8 i + r) of `from`, a shared
// array of uint4, each 8 values. to[i] becomes (g, 2t) and (g, 2t + 1) of matrix i; of its
// transpose if kTransposed.
template <bool kTransposed, typename Array, typename IndexOf>
__device__ __forceinline__ void LoadMatrices(Array& from, const IndexOf& index_of,
                                             uint32_t (&to)[4]) {
#ifdef __CUDACC__
  const auto address =
      static_cast<uint32_t>(__cvta_generic_to_shared(&from[index_of(LaneIndex())]));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
  }
#else
  const auto pair = [](const uint4& row, int index) {
    return index == 0 ? row.x : index == 1 ? row.y : index == 2 ? row.z : row.w;
  };
  const int g = LaneIndex() / 4;
  const int t = LaneIndex() % 4;
  for (int i = 0; i < 4; ++i) {
    if constexpr (kTransposed) {
      const uint4 first = from[index_of(8 * i + 2 * t)];
      const uint4 second = from[index_of(8 * i + 2 * t + 1)];
      const int shift = g % 2 * 16;
      to[i] = (pair(first, g / 2) >> shift & 0xffffu) | (pair(second, g / 2) >> shift) << 16;
    } else {
      const uint4 row = from[index_of(8 * i + g)];
      to[i] = pair(row, t);
    }
  }
#endif
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_WARP_PRODUCT_CUH_
