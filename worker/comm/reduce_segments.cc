#include "worker/comm/reduce_segments.h"

#include <algorithm>

namespace drover {

ReduceSegments::ReduceSegments(const Layout& layout, uint64_t elements)
    : of_tensor(layout.tensors().size()) {
  for (uint32_t end = layout.block_count(); end > 0;) {
    uint32_t begin = end - 1;
    while (begin > 0 && layout.SpanElements({begin, end}) < elements) --begin;
    blocks.push_back({begin, end});
    end = begin;
  }
  std::reverse(blocks.begin(), blocks.end());
  for (size_t segment = 0; segment < blocks.size(); ++segment) {
    const uint32_t first = layout.blocks()[blocks[segment].begin].tensor;
    const uint32_t last = layout.blocks()[blocks[segment].end - 1].tensor;
    for (uint32_t tensor = first; tensor <= last; ++tensor) of_tensor[tensor].push_back(segment);
    tensors.push_back(last - first + 1);
  }
}

}  // namespace drover
