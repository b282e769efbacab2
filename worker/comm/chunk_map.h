// Which chunks there are on which shard, and which tensors lie in each: what turns "tensor i is
// final" into "this frame may go". Immutable; any thread.

#ifndef DROVER_WORKER_COMM_CHUNK_MAP_H_
#define DROVER_WORKER_COMM_CHUNK_MAP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/tensor/layout.h"

namespace drover {

struct ChunkMap {
  struct Chunk {
    size_t part;  // Index of the shard.
    BlockRange blocks;
    uint32_t tensors;  // How many tensors lie in it, wholly or in part.
  };

  // `parts`: the blocks of each shard, as placed; disjoint.
  ChunkMap(const Layout& layout, const std::vector<BlockRange>& parts);

  // The index of the chunk that is exactly these blocks. Any range is safe.
  std::optional<size_t> Find(BlockRange blocks) const;

  std::vector<Chunk> chunks;
  std::vector<std::vector<size_t>> chunks_of_tensor;  // [tensors] indices into chunks.
  std::vector<size_t> chunks_in_part;                 // [shards] how many.

 private:
  std::map<BlockRange, size_t> index_;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_CHUNK_MAP_H_
