#include "server/shard/chunk_gate.h"

namespace drover {
namespace {

Verdict DecideLeaves(const LeafSet& present, LeafRange leaves) {
  const uint32_t there = present.CountIn(leaves);
  if (there == leaves.size()) return Verdict::kDuplicate;
  if (there > 0) return Verdict::kOverlap;
  return present.count() == 0 ? Verdict::kStored : Verdict::kAdded;
}

// Bytes of one element, or 0 when a gradient over these leaves cannot come in this encoding. A sum
// of several leaves in float32 would depend on how they were grouped.
uint64_t ElementBytes(FrameEncoding encoding, LeafRange leaves) {
  switch (encoding) {
    case FrameEncoding::kF32:
      return leaves.size() == 1 ? sizeof(float) : 0;
    case FrameEncoding::kI64:
      return sizeof(int64_t);
    case FrameEncoding::kBf16:
    case FrameEncoding::kNone:
      return 0;
  }
  return 0;
}

}  // namespace

Verdict CheckFence(const GateState& state, uint32_t leaves_count, const FrameHeader& header) {
  if (header.job != state.job || header.layout_hash != state.layout_hash) return Verdict::kLayout;
  if (header.epoch != state.epoch) return Verdict::kEpoch;
  if (!state.step.has_value() || header.step != *state.step) return Verdict::kStep;
  const LeafRange leaves = header.leaves();
  if (leaves.begin >= leaves.end || leaves.end > leaves_count) return Verdict::kLease;
  return Verdict::kNone;
}

Verdict DecideGradient(const GateState& state, const ChunkState& chunk, const FrameHeader& header) {
  const Verdict fence = CheckFence(state, chunk.leaves->leaves(), header);
  if (fence != Verdict::kNone) return fence;
  if (header.blocks() != chunk.blocks) return Verdict::kLayout;
  const uint64_t element_bytes = ElementBytes(header.encoding, header.leaves());
  if (element_bytes == 0) return Verdict::kEncoding;
  if (header.payload_bytes != chunk.elements * element_bytes) return Verdict::kLength;
  return DecideLeaves(*chunk.leaves, header.leaves());
}

Verdict DecideStats(const GateState& state, const LeafSet& leaves, const FrameHeader& header) {
  const Verdict fence = CheckFence(state, leaves.leaves(), header);
  if (fence != Verdict::kNone) return fence;
  if (header.block_count != 0) return Verdict::kLayout;
  if (header.encoding != FrameEncoding::kI64) return Verdict::kEncoding;
  if (header.payload_bytes != kStepStatsBytes) return Verdict::kLength;
  return DecideLeaves(leaves, header.leaves());
}

}  // namespace drover
