// Adds the payload of one gradient frame to the int64 sums of its chunk, straight from the received
// slices, whose boundaries may cut elements. Checksum, range check and addition share one pass over
// pieces that fit the cache; a payload that turns out bad half-way is taken out again, which
// integers allow without a trace. Knows nothing of leaves or locks: the accumulator holds the
// chunk's lock.

#ifndef DROVER_SERVER_SHARD_PAYLOAD_SUM_H_
#define DROVER_SERVER_SHARD_PAYLOAD_SUM_H_

#include <cstdint>
#include <span>

#include "common/rpc/frame.h"
#include "common/tensor/fixed_point.h"

namespace drover {

struct PayloadRules {
  bool store = false;     // Replaces the sums instead of adding; then their old content is lost.
  float limit_f32 = 0;    // Elements must be |g| < limit,
  int64_t limit_i64 = 0;  // |q| < limit.
  double scale = 1;       // 2^F.
};

struct PayloadOutcome {
  // kNone: added. kChecksum, kNonfinite, kRange: not, the sums are as before (or, with `store`, not
  // to be used).
  Verdict refusal = Verdict::kNone;
  uint64_t element = 0;  // The first bad one.
};

// `sums`: [elements] int64. The payload is exactly as long, in float32 or int64.
PayloadOutcome SumPayload(const FixedPointPasses& passes, const ReceivedFrame& frame,
                          const PayloadRules& rules, std::span<int64_t> sums);

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_PAYLOAD_SUM_H_
