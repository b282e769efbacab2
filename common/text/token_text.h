// Tokenised text in memory: documents, each of sentences, each of tokens. Not thread-safe while it
// grows; any thread may read afterwards.

#ifndef DROVER_COMMON_TEXT_TOKEN_TEXT_H_
#define DROVER_COMMON_TEXT_TOKEN_TEXT_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/text/vocabulary.h"

namespace drover {

// What the tokens were made with.
struct TokenTextInfo {
  int32_t vocabulary_size = 0;  // Above all ids of specials.
  SpecialTokens specials;
  bool lowercase = false;
  std::string vocabulary_hash;  // Vocabulary::Hash(): 32 hexadecimal digits.

  bool operator==(const TokenTextInfo&) const = default;
};

// Bytes per token: 2 when every id fits, else 4.
inline constexpr size_t TokenBytes(int32_t vocabulary_size) {
  return vocabulary_size <= 65'536 ? 2 : 4;
}

class TokenText {
 public:
  explicit TokenText(TokenTextInfo info);

  // Each id in [0, vocabulary_size); the only special one is [UNK]. No tokens: no sentence.
  void AddSentence(std::span<const int32_t> tokens);
  // No sentence since the last call: no document.
  void EndDocument();

  const TokenTextInfo& info() const { return info_; }
  uint64_t documents() const { return document_starts_.size() - 1; }
  uint64_t sentences() const { return sentence_starts_.size() - 1; }
  uint64_t tokens() const { return sentence_starts_.back(); }

  // [documents() + 1]: index of each document's first sentence; the last is sentences() once the
  // last document has ended. Strictly rising.
  std::span<const uint64_t> document_starts() const { return document_starts_; }
  // [sentences() + 1]: index of each sentence's first token, then tokens(). Strictly rising.
  std::span<const uint64_t> sentence_starts() const { return sentence_starts_; }
  // out: [count] ids of tokens [begin, begin + count), begin + count <= tokens().
  void CopyTokens(uint64_t begin, uint64_t count, int32_t* out) const;

 private:
  friend class TokenFileReader;  // Fills what it has checked.
  friend class TokenFileWriter;

  TokenTextInfo info_;
  std::vector<uint64_t> document_starts_ = {0};
  std::vector<uint64_t> sentence_starts_ = {0};
  std::vector<uint16_t> narrow_;  // All tokens when TokenBytes is 2, else none.
  std::vector<uint32_t> wide_;
};

}  // namespace drover

#endif  // DROVER_COMMON_TEXT_TOKEN_TEXT_H_
