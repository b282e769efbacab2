// Plain text to a folder that a job trains on: vocabulary, token files, manifest. Reads each input
// twice when it has to make the vocabulary. Knows no command line. Not thread-safe.

#ifndef DROVER_SERVER_CLI_TOKENIZE_H_
#define DROVER_SERVER_CLI_TOKENIZE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/text/token_text.h"
#include "common/text/vocabulary.h"

namespace drover {

// A longer line is several sentences, so that no sentence fills a sample alone.
inline constexpr size_t kSentenceTokensMax = 64;

struct TokenizeOptions {
  std::vector<std::string> inputs;  // UTF-8. A blank line or the end of a file ends a document.
  std::string out;                  // Folder; made if it is not there.
  std::string vocabulary_path;      // vocab.txt to use; empty: make one of the inputs.
  size_t vocabulary_size = 30'522;  // Of a new one, at most; BERT's.
  bool lowercase = false;           // And strip accents, as BERT's "uncased" models.
  double test_fraction = 0.05;      // Of the documents, above 0 to 0.5; evenly spread.
  std::function<bool()> interrupted = [] { return false; };
};

// A vocabulary of the inputs, or that of the options. Errors name file and line: those of TextFile,
// SplitWords and Vocabulary; kCancelled when interrupted.
Result<Vocabulary> PrepareVocabulary(const TokenizeOptions& options);

struct TokenizedText {
  TokenText train;
  TokenText test;
  uint64_t unknown = 0;  // [UNK] in both.
};

// kInvalidArgument too when one of the two has fewer than two documents, which next-sentence
// prediction needs.
Result<TokenizedText> TokenizeText(const TokenizeOptions& options, const Vocabulary& vocabulary);

// Writes the files of docs/formats.md, dataset.json last. `*manifest` gets its content.
Status WriteDataset(const TokenizeOptions& options, const Vocabulary& vocabulary,
                    const TokenizedText& text, std::string* manifest);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_TOKENIZE_H_
