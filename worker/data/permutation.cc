#include "worker/data/permutation.h"

#include "common/base/check.h"
#include "common/base/philox.h"

namespace drover {
namespace {

constexpr uint32_t kRounds = 8;
// Keeps these draws apart from others of the same seed: streams are (purpose << 56) + data pass.
constexpr uint64_t kPermutationStream = uint64_t{0x50} << 56;

uint32_t HalfBitsFor(uint64_t n) {
  uint32_t bits = 0;
  while ((uint64_t{1} << (2 * bits)) < n) ++bits;
  return bits;
}

}  // namespace

Permutation::Permutation(uint64_t n, uint64_t seed, uint64_t data_pass)
    : n_(n), seed_(seed), data_pass_(data_pass) {
  DROVER_CHECK(n >= 1 && n <= uint64_t{1} << 62);
  half_bits_ = HalfBitsFor(n);
}

uint64_t Permutation::Encrypt(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_;
  uint64_t right = value & mask;
  // Round function: a word of Philox at counter (round, right half); a half has at most 31 bits.
  for (uint32_t round = 0; round < kRounds; ++round) {
    const uint64_t word =
        Philox(seed_, kPermutationStream + data_pass_, (uint64_t{round} << 32) + right)[0];
    const uint64_t mixed = left ^ (word & mask);
    left = right;
    right = mixed;
  }
  return (left << half_bits_) | right;
}

uint64_t Permutation::At(uint64_t position) const {
  DROVER_CHECK(position < n_);
  uint64_t value = Encrypt(position);
  while (value >= n_) value = Encrypt(value);
  return value;
}

}  // namespace drover
