// The weights of one version as they lie in the host's memory: the parameter space of a layout, of
// which ranges may still be the bfloat16 that came over the network. Whoever computes on the host
// wants float32 everywhere; a GPU takes what came and widens it itself. Plain values; any thread.

#ifndef DROVER_COMMON_TENSOR_WEIGHTS_VIEW_H_
#define DROVER_COMMON_TENSOR_WEIGHTS_VIEW_H_

#include <cstdint>
#include <span>

namespace drover {

// Elements [begin, end) of a parameter space.
struct ElementRange {
  uint64_t begin = 0;
  uint64_t end = 0;

  uint64_t size() const { return end - begin; }
  friend bool operator==(const ElementRange&, const ElementRange&) = default;
};

// Borrowed.
struct WeightsView {
  WeightsView() = default;
  // Implicit: float32 everywhere is what nearly everybody has.
  WeightsView(const float* all_values) : values(all_values) {}  // NOLINT(google-explicit-*)
  WeightsView(const float* some_values, std::span<const ElementRange> packed_ranges)
      : values(some_values), packed(packed_ranges) {}

  const float* values = nullptr;  // float32 at layout offsets, but for ...
  // ... these, in any order, disjoint: bfloat16, side by side in the upper half of their memory.
  std::span<const ElementRange> packed;
};

// Where the bfloat16 of a packed range lie. `values`: of the parameter space.
inline const uint16_t* PackedBf16(const float* values, const ElementRange& range) {
  return reinterpret_cast<const uint16_t*>(values + range.end) - range.size();
}

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_WEIGHTS_VIEW_H_
