// One chunk of an Accumulator, or its statistics as a chunk without blocks: what the gate must
// know, guarded by the chunk's own lock. Included by the accumulator's files only. Thread-safe as
// annotated.

#ifndef DROVER_SERVER_SHARD_ACCUMULATOR_CHUNK_H_
#define DROVER_SERVER_SHARD_ACCUMULATOR_CHUNK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "common/base/mutex.h"
#include "server/shard/accumulator.h"
#include "server/shard/chunk_gate.h"

namespace drover {

struct Accumulator::Chunk {
  // What came: a second frame of the same leaves and encoding must have the same checksum.
  struct Seen {
    LeafRange leaves;
    FrameEncoding encoding;
    uint32_t payload_crc;
    size_t worker;  // Hash of its name.
  };

  BlockRange blocks;
  size_t index = 0;       // In chunks_ and sums_.
  uint64_t elements = 0;  // Gaps between tensors included.

  mutable Mutex mutex;
  GateState gate DROVER_GUARDED_BY(mutex);
  StepShape shape DROVER_GUARDED_BY(mutex);  // Of the open step.
  uint64_t generation DROVER_GUARDED_BY(mutex) = 0;
  LeafSet leaves DROVER_GUARDED_BY(mutex);
  std::vector<Seen> seen DROVER_GUARDED_BY(mutex);
  StepStats stats DROVER_GUARDED_BY(mutex);  // Of the part that holds statistics.

  // Of a duplicate. One that its own worker sends again after a break says nothing.
  void CompareWithSeen(const FrameHeader& header, std::string_view worker,
                       ReceiveResult* result) const DROVER_REQUIRES(mutex) {
    const auto same = std::find_if(seen.begin(), seen.end(), [&](const Seen& other) {
      return other.leaves == header.leaves() && other.encoding == header.encoding;
    });
    if (same == seen.end()) return;
    result->nondeterministic = same->payload_crc != header.payload_crc;
    result->audited = same->worker != std::hash<std::string_view>()(worker);
  }
  void Add(const FrameHeader& header, std::string_view worker) DROVER_REQUIRES(mutex) {
    leaves.Add(header.leaves());
    seen.push_back({header.leaves(), header.encoding, header.payload_crc,
                    std::hash<std::string_view>()(worker)});
  }
  void Open(uint64_t new_generation, uint32_t epoch, uint64_t step, const StepShape& new_shape)
      DROVER_EXCLUDES(mutex) {
    MutexLock lock(&mutex);
    generation = new_generation;
    gate.epoch = epoch;
    gate.step = step;
    shape = new_shape;
    leaves = LeafSet(shape.leaves);
    seen.clear();
    stats = StepStats();
  }
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_ACCUMULATOR_CHUNK_H_
