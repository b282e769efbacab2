// Which GPU of a host ends up with which part of the gradient, and where each chunk lies in the
// memory that is reduced. A slice is a run of whole chunks, because a shard takes whole chunks
// only; runs are as even by elements as that allows, a pure function of layout, chunks and number
// of ranks.
//
// ncclReduceScatter gives every rank the same count, and slices of whole chunks differ. So sums are
// kept in a padded space: rank r's slice begins at r * slice_elements(), where slice_elements() is
// the longest slice. Padding is reduced with the rest and never read. It costs at most one chunk
// per rank, and the whole gradient goes in one collective at full speed, which a reduction per
// chunk with changing roots would not.
//
//   chunks      | 0 | 1 | 2  | 3 |4|          3 ranks
//   padded      | 0 | 1 ..... | 2  | 3 ..... |4 ........... |
//
// Pure and immutable; any thread.

#ifndef DROVER_WORKER_COMM_LOCAL_SLICES_H_
#define DROVER_WORKER_COMM_LOCAL_SLICES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/tensor/layout.h"

namespace drover {

class LocalSlices {
 public:
  struct Slice {
    size_t first_chunk = 0;  // Indices into chunks().
    size_t chunk_count = 0;
    uint64_t offset = 0;    // In the parameter space; 0 when empty.
    uint64_t elements = 0;  // From its first to its last element, gaps between tensors included.
  };

  // `chunks`: consecutive ranges of blocks, in order: all of a layout's, or some from the end for a
  // reduction that begins before the backward pass is over. May be empty. `ranks`: at least 1.
  LocalSlices(const Layout& layout, std::vector<BlockRange> chunks, int ranks);

  int ranks() const { return static_cast<int>(slices_.size()); }
  const std::vector<BlockRange>& chunks() const { return chunks_; }
  // Ranks that come too late for a chunk get an empty slice.
  const Slice& slice(int rank) const { return slices_[static_cast<size_t>(rank)]; }
  int RankOf(size_t chunk) const { return rank_of_chunk_[chunk]; }

  // Elements per rank in the padded space, a multiple of kTensorAlignment; 0 without chunks.
  uint64_t slice_elements() const { return slice_elements_; }
  uint64_t padded_elements() const { return slice_elements_ * slices_.size(); }
  // Where a chunk's first element lies in the padded space.
  uint64_t PaddedOffset(size_t chunk) const;
  // Likewise in its rank's own slice.
  uint64_t OffsetInSlice(size_t chunk) const;
  // Elements of a chunk, gaps included.
  uint64_t ChunkElements(size_t chunk) const { return chunk_elements_[chunk]; }

 private:
  std::vector<BlockRange> chunks_;
  std::vector<uint64_t> chunk_offsets_;   // [chunks] in the parameter space.
  std::vector<uint64_t> chunk_elements_;  // [chunks]
  std::vector<int> rank_of_chunk_;        // [chunks]
  std::vector<Slice> slices_;             // [ranks]
  uint64_t slice_elements_ = 0;
};

}  // namespace drover

#endif  // DROVER_WORKER_COMM_LOCAL_SLICES_H_
