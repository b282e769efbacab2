// From norms of strips to the scale of a tensor, in the order in which the coordinator adds them:
// strips of a block, then blocks of a tensor.

#ifndef DROVER_SERVER_OPTIM_TENSOR_RATIO_CUH_
#define DROVER_SERVER_OPTIM_TENSOR_RATIO_CUH_

#include "common/gpu/kernel.h"
#include "server/optim/square_fold.cuh"
#include "server/optim/update.h"
#include "server/optim/update_tables.h"

namespace drover {

// Of the strips of one block, added in their order.
__device__ __forceinline__ BlockNorms SumStrips(const BlockNorms* strip_norms, uint32_t begin,
                                                uint32_t end) {
  BlockNorms sum{0.0, 0.0};
  for (uint32_t strip = begin; strip < end; ++strip) {
    sum.weight += strip_norms[strip].weight;
    sum.direction += strip_norms[strip].direction;
  }
  return sum;
}

// Of one tensor: a thread per block, then one thread for all blocks in their order. Every thread of
// the thread block calls it; the result is thread 0's. `scratch`: 2 * kStripThreads doubles at
// least, shared; all threads are done with it on return.
template <typename Array>
__device__ __forceinline__ BlockNorms SumTensor(const UpdateTables& tables,
                                                const UpdateTensor& tensor,
                                                const BlockNorms* strip_norms, Array& scratch) {
  BlockNorms sum{0.0, 0.0};
  for (uint32_t first = 0; first < tensor.block_count; first += kStripThreads) {
    const uint32_t left = tensor.block_count - first;
    const uint32_t count = left < kStripThreads ? left : kStripThreads;
    if (threadIdx.x < count) {
      const uint32_t block = tensor.first_block + first + threadIdx.x;
      const BlockNorms part =
          SumStrips(strip_norms, tables.block_strips[block], tables.block_strips[block + 1]);
      scratch[threadIdx.x] = part.weight;
      scratch[kStripThreads + threadIdx.x] = part.direction;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      for (uint32_t i = 0; i < count; ++i) {
        sum.weight += scratch[i];
        sum.direction += scratch[kStripThreads + i];
      }
    }
    __syncthreads();
  }
  return sum;
}

__device__ __forceinline__ TensorRatio RatioOf(const UpdateGroup& group,
                                               const BlockNorms& squares) {
  TensorRatio result;
  result.weight_norm = sqrt(squares.weight);
  result.direction_norm = sqrt(squares.direction);
  const TrustRatio ratio = TrustRatioOf(group.ratio, result.weight_norm, result.direction_norm);
  result.ratio = ratio.ratio;
  result.limit = ratio.limit;
  return result;
}

__device__ __forceinline__ float ScaleOf(const UpdateGroup& group, const TensorRatio& ratio) {
  return static_cast<float>(UpdateScaleOf(group.scale, ratio.ratio));
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_TENSOR_RATIO_CUH_
