// Numbers for tests that need millions of them also where sanitizers make Philox slow: drawn once,
// then read at scattered places. Pure; any thread.

#ifndef DROVER_TESTS_SUPPORT_RANDOM_FLOATS_H_
#define DROVER_TESTS_SUPPORT_RANDOM_FLOATS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/philox.h"

namespace drover {

// Element i of a stream, in [0, 1). Streams repeat each other, shifted, after 65,537 elements.
inline float RandomFloat(uint64_t stream, uint64_t i) {
  constexpr size_t kDrawn = 65'537;  // A prime, so that no block or chunk repeats another.
  static const std::vector<float> drawn = [] {
    std::vector<float> values;
    for (size_t k = 0; k < kDrawn; ++k) values.push_back(UnitFloat(Philox(/*seed=*/5, 0, k)[0]));
    return values;
  }();
  return drawn[(stream * 40'503 + i) % kDrawn];
}

}  // namespace drover

#endif  // DROVER_TESTS_SUPPORT_RANDOM_FLOATS_H_
