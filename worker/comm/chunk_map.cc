#include "worker/comm/chunk_map.h"

namespace drover {

ChunkMap::ChunkMap(const Layout& layout, const std::vector<BlockRange>& parts)
    : chunks_of_tensor(layout.tensors().size()), chunks_in_part(parts.size(), 0) {
  for (size_t part = 0; part < parts.size(); ++part) {
    for (const BlockRange& blocks : layout.Chunks(parts[part])) {
      const uint32_t first = layout.blocks()[blocks.begin].tensor;
      const uint32_t last = layout.blocks()[blocks.end - 1].tensor;
      for (uint32_t tensor = first; tensor <= last; ++tensor) {
        chunks_of_tensor[tensor].push_back(chunks.size());
      }
      index_[blocks] = chunks.size();
      chunks.push_back({part, blocks, last - first + 1});
      ++chunks_in_part[part];
    }
  }
}

std::optional<size_t> ChunkMap::Find(BlockRange blocks) const {
  const auto found = index_.find(blocks);
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

}  // namespace drover
