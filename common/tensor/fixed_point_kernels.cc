// Pairs with fixed_point.h. Compiled once per instruction set (drover_multi_isa) with DROVER_ISA
// set to generic, avx2 or avx512; exports the one symbol kFixedPointPasses. Written as plain loops
// that GCC turns into whole vectors; loads and stores go through memcpy because received bytes are
// not aligned and because `mean` writes float32 over the int64 that it read.

#include <bit>
#include <cstring>

#include "common/tensor/fixed_point.h"
#include "common/tensor/square_sum.h"

#ifndef DROVER_ISA
#define DROVER_ISA generic
#endif

namespace drover::DROVER_ISA {
namespace {

constexpr double kMagic = 0x1.8p52;  // Adding it rounds |x| < 2^51 to an integer, ties to even.

// llrint(x) for a double x with at most 24 significant bits and |x| < 2^62. The upper part is a
// multiple of 2^32; what remains is at most 2^31, and exact because x has 24 bits. Two steps
// because only AVX-512DQ converts to 64 bits, and because one formula serves all three builds.
static inline int64_t RoundToInt(double x) {
  const double upper = x * 0x1p-32 + kMagic;
  const double lower = (x - (upper - kMagic) * 0x1p32) + kMagic;
  const uint64_t upper_bits = std::bit_cast<uint64_t>(upper) - std::bit_cast<uint64_t>(kMagic);
  const uint64_t lower_bits = std::bit_cast<uint64_t>(lower) - std::bit_cast<uint64_t>(kMagic);
  return static_cast<int64_t>((upper_bits << 32) + lower_bits);
}

// double(q), to nearest even.
static inline double ToDouble(int64_t q) {
#ifdef __AVX512DQ__
  return static_cast<double>(q);
#else
  // Both halves become doubles by placing them in a mantissa: the low one over 2^52, the high one
  // (made unsigned by flipping its sign) over 2^84. All is exact but the last addition.
  const uint64_t bits = static_cast<uint64_t>(q);
  const uint64_t low = (bits & 0xffffffffu) | 0x4330000000000000u;
  const uint64_t high = (bits >> 32) ^ 0x4530000080000000u;
  const double high_part = std::bit_cast<double>(high) - 0x1.00000801p84;  // 2^84 + 2^63 + 2^52.
  return high_part + std::bit_cast<double>(low);
#endif
}

enum class Into { kStore, kAdd, kSubtract };

// Wraps instead of overflowing: an undefined sum is never worth a crash.
template <Into kInto>
static inline int64_t Combine(int64_t sum, int64_t q) {
  const auto a = static_cast<uint64_t>(sum);
  const auto b = static_cast<uint64_t>(q);
  if constexpr (kInto == Into::kStore) return q;
  return static_cast<int64_t>(kInto == Into::kAdd ? a + b : a - b);
}

template <Into kInto>
void FloatPass(const void* gradient, size_t count, double scale, int64_t* sums) {
  const char* in = static_cast<const char*>(gradient);
#pragma GCC ivdep  // Received bytes and sums do not overlap.
  for (size_t i = 0; i < count; ++i) {
    float g;
    std::memcpy(&g, in + i * sizeof(g), sizeof(g));
    sums[i] = Combine<kInto>(sums[i], RoundToInt(static_cast<double>(g) * scale));
  }
}

template <Into kInto>
void IntPass(const void* other, size_t count, int64_t* sums) {
  const char* in = static_cast<const char*>(other);
#pragma GCC ivdep  // As above.
  for (size_t i = 0; i < count; ++i) {
    int64_t q;
    std::memcpy(&q, in + i * sizeof(q), sizeof(q));
    sums[i] = Combine<kInto>(sums[i], q);
  }
}

// Magnitudes of float32 compare like their bits, and NaN and infinity are above every limit.
int64_t FindBadFloat(const void* gradient, size_t count, float limit) {
  const char* in = static_cast<const char*>(gradient);
  const uint32_t limit_bits = std::bit_cast<uint32_t>(limit);
  uint32_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, in + i * sizeof(bits), sizeof(bits));
    bad |= (bits & 0x7fffffffu) >= limit_bits ? 1u : 0u;
  }
  if (bad == 0) return -1;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, in + i * sizeof(bits), sizeof(bits));
    if ((bits & 0x7fffffffu) >= limit_bits) return static_cast<int64_t>(i);
  }
  return -1;
}

// |q| < limit as one unsigned comparison: q + (limit - 1) < 2 * limit - 1.
int64_t FindBadInt(const void* sums, size_t count, int64_t limit) {
  const char* in = static_cast<const char*>(sums);
  const uint64_t shift = static_cast<uint64_t>(limit) - 1;
  const uint64_t end = 2 * static_cast<uint64_t>(limit) - 1;
  uint64_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    uint64_t q;
    std::memcpy(&q, in + i * sizeof(q), sizeof(q));
    bad |= q + shift >= end ? 1u : 0u;
  }
  if (bad == 0) return -1;
  for (size_t i = 0; i < count; ++i) {
    uint64_t q;
    std::memcpy(&q, in + i * sizeof(q), sizeof(q));
    if (q + shift >= end) return static_cast<int64_t>(i);
  }
  return -1;
}

// Of one segment; `count` <= kSegmentElements.
static inline double SegmentSquares(const float* values, size_t count) {
  constexpr size_t kWidth = 16;
  alignas(64) double lanes[kSquareLanes] = {};
  if (count < kSegmentElements) {
    for (size_t i = 0; i < count; ++i) {
      const double g = values[i];
      lanes[i % kSquareLanes] += g * g;
    }
    return FoldSquareLanes(lanes);
  }
  for (size_t group = 0; group < kSquareLanes; group += kWidth) {
    double sum[kWidth] = {};  // Stays in vector registers.
    for (size_t row = 0; row < kSegmentElements; row += kSquareLanes) {
      for (size_t lane = 0; lane < kWidth; ++lane) {
        const double g = values[row + group + lane];
        sum[lane] += g * g;
      }
    }
    std::memcpy(lanes + group, sum, sizeof(sum));
  }
  return FoldSquareLanes(lanes);
}

double SumSquares(const float* values, size_t count) {
  return SumSegments(
      count, [values](size_t begin, size_t size) { return SegmentSquares(values + begin, size); });
}

// A segment is read again for its squares while it is in the first-level cache. In place, a store
// at byte 4i hits sums that were read at step i / 2, so no order of whole vectors changes the
// result.
double Mean(const int64_t* sums, size_t count, double factor, float* mean) {
  const char* in = reinterpret_cast<const char*>(sums);
  char* out = reinterpret_cast<char*>(mean);
  return SumSegments(count, [=](size_t begin, size_t size) {
#pragma GCC ivdep
    for (size_t i = begin; i < begin + size; ++i) {
      int64_t q;
      std::memcpy(&q, in + i * sizeof(q), sizeof(q));
      const float g = static_cast<float>(ToDouble(q) * factor);
      std::memcpy(out + i * sizeof(g), &g, sizeof(g));
    }
    return SegmentSquares(mean + begin, size);
  });
}

}  // namespace

extern const FixedPointPasses kFixedPointPasses;
const FixedPointPasses kFixedPointPasses = {
    &FindBadFloat,
    &FindBadInt,
    &FloatPass<Into::kStore>,
    &FloatPass<Into::kAdd>,
    &FloatPass<Into::kSubtract>,
    &IntPass<Into::kAdd>,
    &IntPass<Into::kSubtract>,
    &Mean,
    &SumSquares,
};

}  // namespace drover::DROVER_ISA
