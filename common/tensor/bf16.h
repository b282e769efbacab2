// bfloat16: the upper half of a float32, for what travels or is multiplied in 16 bits. Rounds to
// nearest, ties to even, subnormals included; a NaN becomes the quiet NaN 0x7fc0. The same bits on
// every instruction set and as CUDA's __float2bfloat16_rn. Pure.

#ifndef DROVER_COMMON_TENSOR_BF16_H_
#define DROVER_COMMON_TENSOR_BF16_H_

#include <bit>
#include <cstddef>
#include <cstdint>

namespace drover {

constexpr uint16_t ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  // Half of the last place that stays, less one, plus one if that place is odd.
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

constexpr float FromBf16(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

// `count` values; the arrays do not overlap.
void RoundToBf16(const float* from, size_t count, uint16_t* to);
void WidenBf16(const uint16_t* from, size_t count, float* to);

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_BF16_H_
