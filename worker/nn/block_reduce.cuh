// One value from all threads of a block, in one order: the lanes of each warp as a tree, then the
// warps in theirs. Every thread gets the same bits.

#ifndef DROVER_WORKER_NN_BLOCK_REDUCE_CUH_
#define DROVER_WORKER_NN_BLOCK_REDUCE_CUH_

#include <stdint.h>

#include "common/gpu/kernel.h"

namespace drover {

// `combine` must not care which of its arguments comes first; a sum does not. scratch: a shared
// array of kThreads / 32 values, which may be used again at once. All threads call.
template <int kThreads, typename T, typename Array, typename Combine>
__device__ __forceinline__ T ReduceBlock(T value, Array& scratch, const Combine& combine) {
  static_assert(kThreads % 32 == 0);
  DROVER_UNROLL
  for (int offset = 16; offset > 0; offset /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  if constexpr (kThreads > 32) {
    __syncthreads();  // Whoever reads what lies there is done.
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    value = scratch[0];
    for (int warp = 1; warp < kThreads / 32; ++warp) {
      const T other = scratch[warp];
      value = combine(value, other);
    }
  }
  return value;
}

template <int kThreads, typename T, typename Array>
__device__ __forceinline__ T SumOverBlock(T value, Array& scratch) {
  return ReduceBlock<kThreads>(value, scratch, [](T a, T b) { return a + b; });
}

// The index of the largest value, the first if several are equal. *value becomes the largest;
// `index`: of the thread's own, the largest int32_t if it has none. As for ReduceBlock.
template <int kThreads, typename Floats, typename Indices>
__device__ __forceinline__ int32_t FirstLargestOfBlock(float* value, int32_t index,
                                                       Floats& float_scratch,
                                                       Indices& index_scratch) {
  const float own = *value;
  *value =
      ReduceBlock<kThreads>(own, float_scratch, [](float a, float b) { return a > b ? a : b; });
  return ReduceBlock<kThreads>(own == *value ? index : INT32_MAX, index_scratch,
                               [](int32_t a, int32_t b) { return a < b ? a : b; });
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_BLOCK_REDUCE_CUH_
