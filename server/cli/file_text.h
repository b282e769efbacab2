// Small texts in files. Thread-safe.

#ifndef DROVER_SERVER_CLI_FILE_TEXT_H_
#define DROVER_SERVER_CLI_FILE_TEXT_H_

#include <string>

#include "common/base/status.h"

namespace drover {

// Writes a file that appears whole or not at all, over one that may be there.
Status ReplaceFile(const std::string& path, const std::string& text);

// OK when ReplaceFile is likely to work: tries a file beside it and removes it.
Status CheckWritable(const std::string& path);

// At most `lines` lines from the end, indented by two spaces; a note when there are none.
std::string LastLines(const std::string& path, int lines);

// `path` made absolute against the current directory.
Result<std::string> AbsolutePath(const std::string& path);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_FILE_TEXT_H_
