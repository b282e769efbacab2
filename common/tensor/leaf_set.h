// A set of leaves of one step, as a bitmap: which leaves a chunk already holds. Pure; not
// thread-safe.

#ifndef DROVER_COMMON_TENSOR_LEAF_SET_H_
#define DROVER_COMMON_TENSOR_LEAF_SET_H_

#include <cstdint>
#include <vector>

#include "common/tensor/layout.h"

namespace drover {

inline constexpr uint32_t kLeavesMax = 4096;

class LeafSet {
 public:
  LeafSet() = default;
  explicit LeafSet(uint32_t leaves) : leaves_(leaves), words_((leaves + 63) / 64, 0) {}

  uint32_t leaves() const { return leaves_; }
  uint32_t count() const;  // Members.
  bool full() const { return count() == leaves_; }
  bool Contains(uint32_t leaf) const { return (words_[leaf / 64] >> (leaf % 64) & 1) != 0; }
  uint32_t CountIn(LeafRange range) const;
  bool ContainsAll(LeafRange range) const { return CountIn(range) == range.size(); }

  void Add(LeafRange range);
  void Clear() { words_.assign(words_.size(), 0); }
  // Keeps what is also in `other`, a set over as many leaves.
  void IntersectWith(const LeafSet& other);

  // Bit i of word i / 64 is leaf i; for the wire.
  const std::vector<uint64_t>& words() const { return words_; }
  // Words from a peer: bits beyond `leaves` are dropped, missing words are empty.
  static LeafSet FromWords(uint32_t leaves, const std::vector<uint64_t>& words);

  friend bool operator==(const LeafSet&, const LeafSet&) = default;

 private:
  uint32_t leaves_ = 0;
  std::vector<uint64_t> words_;
};

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_LEAF_SET_H_
