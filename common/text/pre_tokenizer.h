// Splits a line of text into words as BERT's BasicTokenizer does (github.com/google-research/bert,
// tokenization.py): control characters go, white space separates, every punctuation character and
// every CJK ideograph is a word of its own; lower-casing also strips accents (NFD without Mn).
// Unicode properties are ICU's. Not: pieces of words, see word_piece.h. Thread-safe.
//
// Differences from tokenization.py, none of which is met in ordinary text: unassigned code points
// stay, and lower-casing is per character, so that a final sigma is an ordinary one (both as in
// Hugging Face's Rust library "tokenizers"). That library's Unicode tables are older: it takes some
// accents and punctuation that came after Unicode 8 for letters.

#ifndef DROVER_COMMON_TEXT_PRE_TOKENIZER_H_
#define DROVER_COMMON_TEXT_PRE_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace drover {

inline constexpr size_t kLineBytesMax = size_t{1} << 20;  // Of a line of text.

// Words of `line`, in order, as UTF-8. kInvalidArgument when it is not UTF-8 (the message names the
// byte) or longer than kLineBytesMax.
Result<std::vector<std::string>> SplitWords(std::string_view line, bool lowercase);

// Where the characters of `word`, which is UTF-8, begin, and its size at the end.
std::vector<size_t> CharacterStarts(std::string_view word);

}  // namespace drover

#endif  // DROVER_COMMON_TEXT_PRE_TOKENIZER_H_
