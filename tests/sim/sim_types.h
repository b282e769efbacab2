// The toy arithmetic of the simulator, and what its nodes send to each other. One number stands
// for the weights of a block; a leaf's gradient is a hash of all weights, step, leaf and block, so
// that any mistake anywhere changes every number after it. Values and pure functions.

#ifndef DROVER_TESTS_SIM_SIM_TYPES_H_
#define DROVER_TESTS_SIM_SIM_TYPES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/hash.h"
#include "common/rpc/frame_header.h"
#include "common/tensor/layout.h"
#include "server/step_messages.h"

namespace drover::sim {

using BlockValues = std::map<uint32_t, uint64_t>;  // Block -> its number.

inline uint64_t Mix(std::initializer_list<uint64_t> values) {
  const std::vector<uint64_t> list(values);
  return Hash64(list.data(), list.size() * sizeof(uint64_t));
}

inline uint64_t InitialWeight(uint64_t seed, uint32_t block) { return Mix({seed, block, 17}); }

inline uint64_t DigestOf(const BlockValues& weights) {
  uint64_t digest = 0;
  for (const auto& [block, value] : weights) digest = Mix({digest, block, value});
  return digest;
}

// What leaf `leaf` adds to a block's sum.
inline int64_t LeafGradient(uint64_t weights_digest, int64_t step, uint32_t leaf, uint32_t block) {
  return static_cast<int64_t>(Mix({weights_digest, static_cast<uint64_t>(step), leaf, block}) >>
                              24);
}

struct ToyFrame {
  FrameHeader header;
  BlockValues sums;  // kGradient: as two's complement.
  StepStats stats;
};

struct ToyWeights {
  uint64_t job = 0;
  int64_t version = 0;
  uint32_t epoch = 0;
  BlockValues values;
};

// Which faults a history has, in per mille of the occasions.
struct Faults {
  uint64_t drop = 0;               // Of messages.
  uint64_t duplicate = 0;          // Of messages.
  uint64_t slow = 0;               // Messages that are overtaken by later ones.
  uint64_t crash_coordinator = 0;  // Of chances given every 50 ms while faults last.
  uint64_t crash_shard = 0;
  uint64_t lose_disk = 0;  // Of shard crashes.
  uint64_t crash_worker = 0;
  uint64_t freeze_worker = 0;
  uint64_t freeze_shard = 0;
  uint64_t break_stream = 0;
  uint64_t return_leaves = 0;          // Of leases: all but some first leaves go back.
  uint64_t crash_between_actions = 0;  // Of actions of a shard.
};

// Parts of the protocol that can be broken on purpose: the invariants must notice.
enum class Mutant { kNone, kNoDedupe, kNoFencing, kVoteEarly };

}  // namespace drover::sim

#endif  // DROVER_TESTS_SIM_SIM_TYPES_H_
