#include "worker/comm/chunk_map.h"

namespace drover {

ChunkMap::ChunkMap(const Layout& layout, const std::vector<BlockRange>& parts)
    : chunks_of_tensor(layout.tensors().size()) {
  for (size_t part = 0; part < parts.size(); ++part) {
    for (const BlockRange& blocks : layout.Chunks(parts[part])) {
      const uint32_t first = layout.blocks()[blocks.begin].tensor;
      const uint32_t last = layout.blocks()[blocks.end - 1].tensor;
      for (uint32_t tensor = first; tensor <= last; ++tensor) {
        chunks_of_tensor[tensor].push_back(chunks.size());
      }
      chunks.push_back({part, blocks, last - first + 1});
    }
  }
}

}  // namespace drover
