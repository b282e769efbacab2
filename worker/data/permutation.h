// A pseudo-random permutation of [0, n) that is computed element by element: no shuffled array, so
// any process can ask for any position of any data pass. Immutable; any thread.
//
// A balanced Feistel network of 8 rounds with Philox as round function permutes [0, 4^k) for the
// smallest 4^k >= n; values outside [0, n) walk on through it until they fall inside (cycle
// walking; Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). 4^k < 4n for
// n > 1, so a look-up takes fewer than 4 walks on average. Good shuffling, not cryptography.

#ifndef DROVER_WORKER_DATA_PERMUTATION_H_
#define DROVER_WORKER_DATA_PERMUTATION_H_

#include <cstdint>

namespace drover {

class Permutation {
 public:
  // n in [1, 2^62]. The order is a function of (n, seed, data_pass).
  Permutation(uint64_t n, uint64_t seed, uint64_t data_pass);

  uint64_t n() const { return n_; }
  // Which element stands at `position` < n.
  uint64_t At(uint64_t position) const;

 private:
  uint64_t Encrypt(uint64_t value) const;

  uint64_t n_;
  uint64_t seed_;
  uint64_t data_pass_;
  uint32_t half_bits_;  // k: the network works on two halves of k bits.
};

}  // namespace drover

#endif  // DROVER_WORKER_DATA_PERMUTATION_H_
