#include "worker/data/masking.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/check.h"
#include "common/base/philox.h"
#include "worker/data/uniform.h"

namespace drover {

Masker::Masker(const SpecialTokens& specials, int32_t vocabulary_size)
    : mask_(specials.mask), vocabulary_size_(vocabulary_size) {
  const std::array<int32_t, 5> ids = specials.Ids();
  specials_.assign(ids.begin(), ids.end());
  std::sort(specials_.begin(), specials_.end());
  DROVER_CHECK(vocabulary_size > static_cast<int32_t>(specials_.size()));
}

// Uniform among the tokens that are not special: each special one shifts those above it.
int32_t Masker::RandomToken(uint32_t word) const {
  const auto ordinary = static_cast<uint32_t>(vocabulary_size_) - specials_.size();
  auto id = static_cast<int32_t>(UniformBelow(word, static_cast<uint32_t>(ordinary)));
  for (const int32_t special : specials_) {
    if (id >= special) ++id;
  }
  return id;
}

int64_t Masker::Mask(const MaskingKey& key, std::span<int32_t> tokens, std::span<int32_t> positions,
                     std::span<int32_t> labels) const {
  DROVER_CHECK(positions.size() == labels.size() && !positions.empty());
  std::vector<int32_t> candidates;
  candidates.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!std::binary_search(specials_.begin(), specials_.end(), tokens[i])) {
      candidates.push_back(static_cast<int32_t>(i));
    }
  }
  const size_t wanted = std::max<size_t>((candidates.size() * 15 + 50) / 100, 1);
  const size_t count = std::min({wanted, candidates.size(), positions.size()});

  // The first `count` places of a Fisher-Yates shuffle.
  for (size_t i = 0; i < count; ++i) {
    const uint32_t word = Philox(key.key, key.position, 1 + i)[0];
    std::swap(candidates[i],
              candidates[i + UniformBelow(word, static_cast<uint32_t>(candidates.size() - i))]);
  }
  std::sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(count));
  std::fill(positions.begin(), positions.end(), 0);
  std::fill(labels.begin(), labels.end(), -1);
  for (size_t i = 0; i < count; ++i) {
    int32_t& token = tokens[static_cast<size_t>(candidates[i])];
    positions[i] = candidates[i];
    labels[i] = token;
    const std::array<uint32_t, 4> words = Philox(key.key, key.position, 1 + i);
    const uint32_t choice = UniformBelow(words[1], 10);
    if (choice < 8) {
      token = mask_;
    } else if (choice == 8) {
      token = RandomToken(words[2]);
    }
  }
  return static_cast<int64_t>(count);
}

}  // namespace drover
