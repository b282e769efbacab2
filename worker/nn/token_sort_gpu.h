// Puts the tokens of a micro-batch in the order of their numbers, equal ones in the order in which
// they stand: a radix sort, 8 bits at a time, without atomics. So sums over equal tokens have one
// order. Enqueues; any thread.

#ifndef DROVER_WORKER_NN_TOKEN_SORT_GPU_H_
#define DROVER_WORKER_NN_TOKEN_SORT_GPU_H_

#include <cstddef>
#include <cstdint>

#include "common/base/status.h"
#include "common/gpu/device.h"

namespace drover {

struct TokenSortGpu {
  int64_t count;
  const int32_t* keys;  // [count], 0 to key_max.
  int32_t key_max;
  uint32_t* scratch;  // TokenSortScratchBytes(count).
};
// order: [count]; becomes 0 to count - 1, sorted by keys[i], then by i.
Status SortTokensOnGpu(const TokenSortGpu& sort, uint32_t* order, const GpuStream& stream);
size_t TokenSortScratchBytes(int64_t count);

}  // namespace drover

#endif  // DROVER_WORKER_NN_TOKEN_SORT_GPU_H_
