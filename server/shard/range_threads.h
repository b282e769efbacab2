// Splits work over the blocks of a range between threads, even by elements, the same way every
// time. Knows nothing of what is done. Immutable; one call at a time.

#ifndef DROVER_SERVER_SHARD_RANGE_THREADS_H_
#define DROVER_SERVER_SHARD_RANGE_THREADS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/tensor/layout.h"

namespace drover {

class RangeThreads {
 public:
  // At most `threads` (at least 1), fewer for a small range.
  RangeThreads(const Layout& layout, BlockRange range, int threads);

  size_t parts() const { return parts_.size(); }
  // Calls body(part) for every part at once and returns when all have.
  void ForEachPart(const std::function<void(size_t part)>& body) const;
  // Calls body(block) for every block of the range, in order within a part.
  void ForEachBlock(const std::function<void(uint32_t block)>& body) const;

 private:
  std::vector<BlockRange> parts_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_RANGE_THREADS_H_
