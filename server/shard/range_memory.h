// How much memory a job takes of a shard, so that one that does not fit beside the others is
// refused when it is placed, and does not end them all later. An estimate. Any thread.

#ifndef DROVER_SERVER_SHARD_RANGE_MEMORY_H_
#define DROVER_SERVER_SHARD_RANGE_MEMORY_H_

#include <cstdint>

#include "server/step_messages.h"

namespace drover {

// Bytes of host memory for the ordered range, with sums and state in it: 8 per element for the
// sums, 4 for each of three versions of the weights (two, and one while a slow worker still reads),
// 2 more if they are published in bfloat16, and 4 for each array of the rule.
uint64_t RangeBytes(const PlaceOrder& place);

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_RANGE_MEMORY_H_
