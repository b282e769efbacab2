// Which tokens of a sample a masked language model must guess, and what it sees in their place
// (Devlin et al., "BERT", arXiv:1810.04805, section 3.1, task 1, and appendix A.1). Pure.

#ifndef DROVER_WORKER_DATA_MASKING_H_
#define DROVER_WORKER_DATA_MASKING_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/text/vocabulary.h"

namespace drover {

// Most positions that are masked in a sample: ceil(0.15 * sequence_length).
inline constexpr int64_t PredictionsMax(int64_t sequence_length) {
  return (15 * sequence_length + 99) / 100;
}

// What is random about the masking of one sample: words of Philox(key, position, 1 and up).
struct MaskingKey {
  uint64_t key = 0;
  uint64_t position = 0;
};

class Masker {
 public:
  // Special tokens, [UNK] among them, are neither masked nor put in place of others.
  Masker(const SpecialTokens& specials, int32_t vocabulary_size);

  // Chooses 15 % of the tokens that are not special, rounded, but at least one of them and at most
  // `predictions`; every choice is as likely. Of those chosen 80 % become [MASK], 10 % a random
  // token, 10 % stay.
  // tokens: [length], changed in place. positions, labels: [predictions], the chosen positions in
  // rising order and the tokens that stood there; behind them 0 and -1. Returns how many.
  int64_t Mask(const MaskingKey& key, std::span<int32_t> tokens, std::span<int32_t> positions,
               std::span<int32_t> labels) const;

 private:
  int32_t RandomToken(uint32_t word) const;

  int32_t mask_;
  int32_t vocabulary_size_;
  std::vector<int32_t> specials_;  // Rising.
};

}  // namespace drover

#endif  // DROVER_WORKER_DATA_MASKING_H_
