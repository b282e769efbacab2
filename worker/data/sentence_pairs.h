// Which two segments of a text make up a sample of next-sentence prediction (Devlin et al., "BERT",
// arXiv:1810.04805, section 3.1 and appendix A.2). No masking, see masking.h. Immutable; any
// thread.
//
// Each document is cut into *passages*: as many whole sentences as fit into a sample; a sentence
// that is longer than that alone is cut where the sample is full. Sample i is passage i. A is its
// first sentences, up to a sentence drawn at random; in half of the samples B is the rest of the
// passage, in the others it begins at a sentence drawn from all other documents and goes on in that
// document until the sample is full. A passage of one sentence is cut in its middle instead; one of
// a single token is no sample. Unlike BERT's script, no sample is short on purpose, and sentences
// that a random B displaces are not moved to another sample: the next data pass draws anew.

#ifndef DROVER_WORKER_DATA_SENTENCE_PAIRS_H_
#define DROVER_WORKER_DATA_SENTENCE_PAIRS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "common/text/token_text.h"

namespace drover {

inline constexpr int32_t kSequenceLengthMin = 8;
inline constexpr int32_t kSequenceLengthMax = 4096;

// Runs of tokens of a TokenText, each at least one.
struct SentencePair {
  uint64_t a_begin = 0;
  uint32_t a_size = 0;
  uint64_t b_begin = 0;
  uint32_t b_size = 0;
  bool random_next = false;  // B is not what follows A in the text: BERT's label 1.
};

class SentencePairs {
 public:
  // Samples of at most `sequence_length` tokens with [CLS] and two [SEP], kSequenceLengthMin to
  // kSequenceLengthMax. `text` is borrowed for the life of this object. kInvalidArgument when the
  // text has fewer than two documents, or no passage of two tokens.
  static Result<SentencePairs> Make(const TokenText* text, int32_t sequence_length);

  uint64_t size() const { return passages_.size(); }

  // a_size + b_size <= sequence_length - 3. words: uniform, all that is random about the pair.
  SentencePair Pick(uint64_t index, const std::array<uint32_t, 4>& words) const;

 private:
  struct Passage {
    uint64_t begin;  // First token.
    uint32_t size;   // At least 2.
  };

  SentencePairs(const TokenText* text, uint32_t tokens_max)
      : text_(text), tokens_max_(tokens_max) {}
  void CutDocument(uint64_t document);
  uint32_t PickSplit(const Passage& passage, uint32_t word) const;

  const TokenText* text_;
  uint32_t tokens_max_;  // Of A and B together.
  std::vector<Passage> passages_;
};

}  // namespace drover

#endif  // DROVER_WORKER_DATA_SENTENCE_PAIRS_H_
