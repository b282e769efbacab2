// Which parts of the gradient the GPUs of a host add up one after the other: a part is added up as
// soon as its tensors are whole on every GPU, while the backward pass still computes the others.
// Immutable; any thread.

#ifndef DROVER_WORKER_COMM_REDUCE_SEGMENTS_H_
#define DROVER_WORKER_COMM_REDUCE_SEGMENTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/tensor/layout.h"

namespace drover {

// 64 MiB of sums: large enough for the full speed of NVLink, a fortieth of BERT-large.
inline constexpr uint64_t kReduceSegmentElements = uint64_t{8} << 20;

struct ReduceSegments {
  // Runs of whole blocks of at least `elements` (1 or more) elements each, but for the first run:
  // cut from the end, where gradients are whole first.
  ReduceSegments(const Layout& layout, uint64_t elements);

  std::vector<BlockRange> blocks;              // In order; together all blocks.
  std::vector<uint32_t> tensors;               // How many lie in each, wholly or in part.
  std::vector<std::vector<size_t>> of_tensor;  // [tensors] indices into `blocks`.
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_REDUCE_SEGMENTS_H_
