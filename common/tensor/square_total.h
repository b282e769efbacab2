// A sum of squared norms that does not depend on the order of its parts: a signed integer of 128
// bits in units of 2^-64, so that it holds what a float64 does between 2^-11 and 2^63 exactly, and
// smaller numbers to 5e-20. It may also be unknown, and then so is every sum with it. Pure values.

#ifndef DROVER_COMMON_TENSOR_SQUARE_TOTAL_H_
#define DROVER_COMMON_TENSOR_SQUARE_TOTAL_H_

#include <cmath>
#include <cstdint>

namespace drover {

struct SquareTotal {
  int64_t high = 0;  // Whole ones; -1: not known.
  uint64_t low = 0;  // The rest, in units of 2^-64.

  bool known() const { return high >= 0; }
  double value() const {
    return static_cast<double>(high) + std::ldexp(static_cast<double>(low), -64);
  }

  friend bool operator==(const SquareTotal&, const SquareTotal&) = default;
};

inline constexpr SquareTotal kUnknownSquareTotal = {-1, 0};

// Unknown unless 0 <= value < 2^62: no sum of a step's leaves is larger, if their numbers mean
// anything. Rounded down to a unit.
inline SquareTotal SquareTotalOf(double value) {
  if (!(value >= 0.0) || value >= 0x1p62) return kUnknownSquareTotal;
  const double whole = std::floor(value);
  return {static_cast<int64_t>(whole), static_cast<uint64_t>(std::ldexp(value - whole, 64))};
}

// Unknown when one of them is, or their sum is 2^62 or more.
inline SquareTotal Sum(const SquareTotal& a, const SquareTotal& b) {
  if (!a.known() || !b.known()) return kUnknownSquareTotal;
  const uint64_t low = a.low + b.low;
  const uint64_t high =
      static_cast<uint64_t>(a.high) + static_cast<uint64_t>(b.high) + (low < a.low ? 1 : 0);
  if (high >= uint64_t{1} << 62) return kUnknownSquareTotal;
  return {static_cast<int64_t>(high), low};
}

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_SQUARE_TOTAL_H_
