// Copies that do not look at values: words of 16 bytes where blocks allow it, else of 4 or 2.

#ifndef DROVER_WORKER_NN_GPU_WORDS_CUH_
#define DROVER_WORKER_NN_GPU_WORDS_CUH_

#include <stdint.h>

#include "common/gpu/kernel.h"

namespace drover {

// Calls body(word) with a value of the widest type that blocks of `block_bytes` are made of. Arrays
// begin at multiples of 16 bytes.
template <typename Body>
void ForWord(int64_t block_bytes, const Body& body) {
  if (block_bytes % 16 == 0) return body(uint4());
  if (block_bytes % 4 == 0) return body(uint32_t());
  body(uint16_t());
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_WORDS_CUH_
