#include "common/tensor/leaf_set.h"

#include <algorithm>
#include <bit>

namespace drover {

uint32_t LeafSet::count() const {
  uint32_t members = 0;
  for (const uint64_t word : words_) members += static_cast<uint32_t>(std::popcount(word));
  return members;
}

uint32_t LeafSet::CountIn(LeafRange range) const {
  uint32_t members = 0;
  for (uint32_t leaf = range.begin; leaf < range.end; ++leaf) members += Contains(leaf) ? 1 : 0;
  return members;
}

void LeafSet::Add(LeafRange range) {
  for (uint32_t leaf = range.begin; leaf < range.end; ++leaf) {
    words_[leaf / 64] |= uint64_t{1} << (leaf % 64);
  }
}

void LeafSet::IntersectWith(const LeafSet& other) {
  for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
}

LeafSet LeafSet::FromWords(uint32_t leaves, const std::vector<uint64_t>& words) {
  LeafSet set(leaves);
  for (uint32_t leaf = 0; leaf < leaves && leaf / 64 < words.size(); ++leaf) {
    if ((words[leaf / 64] >> (leaf % 64) & 1) != 0) set.Add({leaf, leaf + 1});
  }
  return set;
}

}  // namespace drover
