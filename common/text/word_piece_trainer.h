// Makes a vocabulary from text: begins with single characters and joins the most frequent pair of
// neighbouring pieces again and again, as Hugging Face's BertWordPieceTrainer (tokenizers, BPE
// trainer with the prefix "##"; Sennrich et al., arXiv:1508.07909). The same words with the same
// counts give the same bytes: ties go to the pair of lower ids. Not thread-safe.

#ifndef DROVER_COMMON_TEXT_WORD_PIECE_TRAINER_H_
#define DROVER_COMMON_TEXT_WORD_PIECE_TRAINER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/status.h"
#include "common/text/vocabulary.h"

namespace drover {

inline constexpr size_t kAlphabetSizeMax = 1000;  // Characters; rarer ones become [UNK].
inline constexpr int64_t kPairCountMin = 2;       // A rarer pair is not joined.

class WordPieceTrainer {
 public:
  // Counts the words of a line. Words that encoding would make [UNK] for their length are left out.
  // Errors as SplitWords.
  Status AddLine(std::string_view line, bool lowercase);

  // In this order: the special tokens, the characters that begin words, those that go on ("##x"),
  // both in the order of code points, then the joined pairs, most frequent first. Fewer than `size`
  // tokens when no frequent pair is left. kInvalidArgument when there was no word, or when `size`
  // is below what the characters need or above kVocabularySizeMax.
  Result<Vocabulary> Train(size_t size) const;

  size_t words() const { return counts_.size(); }  // Different ones.

 private:
  std::unordered_map<std::string, int64_t> counts_;
};

}  // namespace drover

#endif  // DROVER_COMMON_TEXT_WORD_PIECE_TRAINER_H_
