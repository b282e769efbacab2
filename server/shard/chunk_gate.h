// Decides what an arriving chunk may do: be stored, be added, be recognised as a duplicate, or be
// refused with a reason. Pure: looks at headers and a bitmap, never at a payload, and changes
// nothing. The accumulator calls it and then reads the payload in the same critical section.

#ifndef DROVER_SERVER_SHARD_CHUNK_GATE_H_
#define DROVER_SERVER_SHARD_CHUNK_GATE_H_

#include <cstdint>
#include <optional>

#include "common/rpc/frame_header.h"
#include "common/tensor/layout.h"
#include "common/tensor/leaf_set.h"

namespace drover {

// What the shard expects of every frame. `step` is empty while no step is open.
struct GateState {
  uint64_t job = 0;
  uint64_t layout_hash = 0;
  uint32_t epoch = 0;
  std::optional<uint64_t> step;
};

// One of its chunks: which blocks, how many elements (SpanElements), which leaves it holds.
struct ChunkState {
  BlockRange blocks;
  uint64_t elements = 0;
  const LeafSet* leaves = nullptr;
};

// Checks that are the same for every frame of a step: job, layout, epoch, step, leaf range, in this
// order. kNone when all hold, else the refusal. `leaves_count` is the job's.
Verdict CheckFence(const GateState& state, uint32_t leaves_count, const FrameHeader& header);

// Fence, blocks, encoding and length, then leaves: kStored, kAdded, kDuplicate or a refusal. What
// is in the payload (checksum, finite, in range) is still to be checked before storing or adding.
Verdict DecideGradient(const GateState& state, const ChunkState& chunk, const FrameHeader& header);

// The same for a kStats frame, whose leaves are kept in `leaves`.
Verdict DecideStats(const GateState& state, const LeafSet& leaves, const FrameHeader& header);

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_CHUNK_GATE_H_
