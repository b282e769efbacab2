// Sums of squares over a strip by one thread block, in the order of common/tensor/square_sum.h: a
// warp per segment, four neighbouring lanes per thread.

#ifndef DROVER_SERVER_OPTIM_SQUARE_FOLD_CUH_
#define DROVER_SERVER_OPTIM_SQUARE_FOLD_CUH_

#include "common/gpu/kernel.h"
#include "common/tensor/square_sum.h"

namespace drover {

inline constexpr unsigned kStripThreads = 256;
inline constexpr unsigned kStripRows = kSegmentElements / kSquareLanes;
static_assert(kStripThreads / 32 == kStripSegments && 4 * 32 == kSquareLanes);

// The first of this thread's four neighbouring elements in row `row` of the strip.
__device__ __forceinline__ unsigned StripElement(unsigned row) {
  return threadIdx.x / 32 * static_cast<unsigned>(kSegmentElements) +
         row * static_cast<unsigned>(kSquareLanes) + threadIdx.x % 32 * 4;
}

// Several sums at once. Every thread of the block calls it with its lanes, which it overwrites; the
// results are thread 0's, others get 0. `scratch`: a shared array of kSums * kStripSegments doubles
// at least, which thread 0 may still read on return: pass a barrier before it is used again.
template <unsigned kSums, typename Array>
__device__ __forceinline__ void FoldStrip(double (&lanes)[kSums][4], Array& scratch,
                                          double (&sums)[kSums]) {
  DROVER_UNROLL
  for (unsigned i = 0; i < kSums; ++i) {
    // Halves of 64, 32, 16, 8 and 4 lanes: other threads of the warp.
    DROVER_UNROLL
    for (unsigned offset = 16; offset > 0; offset /= 2) {
      DROVER_UNROLL
      for (unsigned k = 0; k < 4; ++k) {
        lanes[i][k] += __shfl_down_sync(0xffffffffu, lanes[i][k], offset);
      }
    }
    // 2 and 1: the lanes of one thread.
    if (threadIdx.x % 32 == 0) {
      scratch[i * kStripSegments + threadIdx.x / 32] =
          (lanes[i][0] + lanes[i][2]) + (lanes[i][1] + lanes[i][3]);
    }
    sums[i] = 0.0;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  DROVER_UNROLL
  for (unsigned i = 0; i < kSums; ++i) {
    DROVER_UNROLL
    for (unsigned s = 0; s < kStripSegments; ++s) sums[i] += scratch[i * kStripSegments + s];
  }
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_SQUARE_FOLD_CUH_
