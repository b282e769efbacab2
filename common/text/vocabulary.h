// The pieces of words that a model knows, numbered from 0: vocab.txt, one token per line, as BERT's
// (google-research/bert and Hugging Face read the same file). A piece that goes on within a word
// begins with "##". Immutable; any thread may read.

#ifndef DROVER_COMMON_TEXT_VOCABULARY_H_
#define DROVER_COMMON_TEXT_VOCABULARY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/status.h"

namespace drover {

inline constexpr size_t kVocabularySizeMax = size_t{1} << 20;
inline constexpr size_t kVocabularyBytesMax = size_t{1} << 26;  // Of vocab.txt.
inline constexpr size_t kTokenBytesMax = 1024;
inline constexpr std::string_view kContinuation = "##";

// Ids of the tokens that stand for no text. All below the vocabulary's size, all different.
struct SpecialTokens {
  int32_t pad = 0;   // [PAD]: behind the end of a sample.
  int32_t unk = 1;   // [UNK]: a word that no pieces make up.
  int32_t cls = 2;   // [CLS]: begins a sample.
  int32_t sep = 3;   // [SEP]: ends a segment.
  int32_t mask = 4;  // [MASK]: hides a token that the model must guess.

  std::array<int32_t, 5> Ids() const { return {pad, unk, cls, sep, mask}; }
  bool operator==(const SpecialTokens&) const = default;
};

// [PAD] [UNK] [CLS] [SEP] [MASK], the order of SpecialTokens::Ids and of new vocabularies.
inline constexpr std::array<std::string_view, 5> kSpecialNames = {"[PAD]", "[UNK]", "[CLS]",
                                                                  "[SEP]", "[MASK]"};

class Vocabulary {
 public:
  // kInvalidArgument, with the line, when a token is empty, too long or there twice; when one of
  // kSpecialNames is missing; when there is nothing but them or too much.
  static Result<Vocabulary> FromTokens(std::vector<std::string> tokens);
  // The lines of vocab.txt; a "\r" at the end of a line is no part of the token.
  static Result<Vocabulary> FromText(std::string_view text);

  std::string ToText() const;  // vocab.txt.
  // XXH3-128 of ToText() in hexadecimal: token files name the vocabulary they were made with.
  std::string Hash() const;

  size_t size() const { return tokens_.size(); }
  const std::string& token(size_t id) const { return tokens_[id]; }
  const SpecialTokens& specials() const { return specials_; }
  int32_t Find(std::string_view token) const;  // Its id, -1 when it is unknown.

 private:
  // Lets Find look up a string_view without a copy.
  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  Vocabulary() = default;

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>> ids_;
  SpecialTokens specials_;
};

}  // namespace drover

#endif  // DROVER_COMMON_TEXT_VOCABULARY_H_
