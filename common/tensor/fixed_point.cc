#include "common/tensor/fixed_point.h"

#include <bit>
#include <cmath>

#include "common/base/check.h"

namespace drover {

namespace generic {
extern const FixedPointPasses kFixedPointPasses;
}
namespace avx2 {
extern const FixedPointPasses kFixedPointPasses;
}
namespace avx512 {
extern const FixedPointPasses kFixedPointPasses;
}

namespace {

// Gradient sums are in range below 2^14 per sample.
constexpr int kRangeBits = 14;

}  // namespace

int DefaultFractionBits(int64_t batch) {
  DROVER_CHECK(batch >= 1 && batch <= int64_t{1} << 40);
  return kFractionBitsMax - static_cast<int>(std::bit_width(static_cast<uint64_t>(batch) - 1));
}

float LeafLimit(int64_t samples) {
  return static_cast<float>(std::ldexp(static_cast<double>(samples), kRangeBits));
}

int64_t FixedPointLimit(int64_t samples, int fraction_bits) {
  const int shift = kRangeBits + fraction_bits;
  DROVER_CHECK(samples >= 1 && fraction_bits >= 0 && fraction_bits <= kFractionBitsMax);
  DROVER_CHECK(samples <= (int64_t{1} << 62) >> shift);
  return samples << shift;
}

double FixedPointScale(int fraction_bits) { return std::ldexp(1.0, fraction_bits); }

double FixedPointMeanFactor(int fraction_bits, int64_t samples) {
  return std::ldexp(1.0, -fraction_bits) / static_cast<double>(samples);
}

const FixedPointPasses& FixedPointPassesFor(Isa isa) {
  switch (isa) {
    case Isa::kGeneric:
      return generic::kFixedPointPasses;
    case Isa::kAvx2:
      return avx2::kFixedPointPasses;
    case Isa::kAvx512:
      return avx512::kFixedPointPasses;
  }
  return generic::kFixedPointPasses;  // Not reached: the switch is complete.
}

}  // namespace drover
