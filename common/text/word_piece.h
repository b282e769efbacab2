// Words to token ids: greedy longest match first, as BERT's WordpieceTokenizer (Wu et al.,
// "Google's Neural Machine Translation System", arXiv:1609.08144; google-research/bert,
// tokenization.py). Thread-safe.

#ifndef DROVER_COMMON_TEXT_WORD_PIECE_H_
#define DROVER_COMMON_TEXT_WORD_PIECE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/text/vocabulary.h"

namespace drover {

inline constexpr size_t kWordCharactersMax = 100;  // A longer word is [UNK].

// Appends the pieces of one word: the longest token that begins it, then the longest "##" token
// that goes on, to its end. A word that cannot be used up is one [UNK] as a whole.
void EncodeWord(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>* ids);

// All words of a line (see SplitWords). Errors as SplitWords.
Result<std::vector<int32_t>> EncodeLine(const Vocabulary& vocabulary, std::string_view line,
                                        bool lowercase);

}  // namespace drover

#endif  // DROVER_COMMON_TEXT_WORD_PIECE_H_
