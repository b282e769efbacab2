// How much memory a job takes of a shard, and how much the shard may still take: so that a job that
// does not fit beside the others is refused when it is placed, and does not end them all later.
// Both are estimates. Any thread.

#ifndef DROVER_SERVER_SHARD_RANGE_MEMORY_H_
#define DROVER_SERVER_SHARD_RANGE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "server/step_messages.h"

namespace drover {

// Bytes of host memory for the ordered range, with sums and state in it: 8 per element for the
// sums, 4 for each of three versions of the weights (two, and one while a slow worker still reads),
// 2 more if they are published in bfloat16, and 4 for each array of the rule.
uint64_t RangeBytes(const PlaceOrder& place);

// Bytes: the smaller of what the machine says is available and what the limit of this process's
// cgroup (version 2, as containers have it) leaves, file cache not counted. Nothing when neither
// can be read. `root` stands before /proc and /sys, for tests.
std::optional<uint64_t> AvailableMemory(const std::string& root = "");

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_RANGE_MEMORY_H_
