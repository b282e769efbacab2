// Token files: TokenText as bytes on disk; docs/formats.md describes them. Everything about the
// bytes is checked before they are believed, and nothing is allocated that the file is too short
// for. Thread-safe.

#ifndef DROVER_COMMON_TEXT_TOKEN_FILE_H_
#define DROVER_COMMON_TEXT_TOKEN_FILE_H_

#include <string>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "common/text/token_text.h"

namespace drover {

// The files of a tokenised data set, in its folder.
inline constexpr char kTrainTokensName[] = "train.tokens";
inline constexpr char kTestTokensName[] = "test.tokens";
inline constexpr char kVocabularyName[] = "vocab.txt";

// Writes the whole text, whose last document has ended, beside `path` as ".tmp", syncs and renames:
// the file appears whole or not at all.
Status WriteTokenFile(FileSystem& fs, const std::string& path, const TokenText& text);

// Errors name the path, what was expected and what was found: kNotFound; kInvalidArgument for what
// is no token file or of another version; kDataLoss for damaged content (truncated, bytes that
// follow, a checksum that does not match, counts or ids out of range); kResourceExhausted when
// there is no memory for it.
Result<TokenText> ReadTokenFile(FileSystem& fs, const std::string& path);

// Writes `bytes` so that the file appears whole or not at all.
Status WriteWhole(FileSystem& fs, const std::string& path, const std::string& bytes);

}  // namespace drover

#endif  // DROVER_COMMON_TEXT_TOKEN_FILE_H_
