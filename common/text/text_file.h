// A plain text file, line by line, whatever its size: only a buffer and one line are in memory.
// Not thread-safe.

#ifndef DROVER_COMMON_TEXT_TEXT_FILE_H_
#define DROVER_COMMON_TEXT_TEXT_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/file_system.h"
#include "common/base/status.h"

namespace drover {

class TextFile {
 public:
  // Errors of FileSystem::OpenUserFile; kInvalidArgument when the file is empty.
  static Result<std::unique_ptr<TextFile>> Open(FileSystem& fs, const std::string& path);

  // The next line without "\n" or "\r\n"; false at the end of the file. A byte order mark at the
  // start is no part of it. `*line` lives until the next call. kInvalidArgument, with path and line
  // number, for a line of more than kLineBytesMax bytes; what it holds is not looked at.
  Result<bool> Next(std::string_view* line);

  // "path":line, of the line that Next gave last; for messages.
  std::string Where() const;

  uint64_t size() const { return file_->size(); }  // Bytes.

 private:
  TextFile(std::string path, std::unique_ptr<ReadableFile> file);
  Status Fill();  // More bytes behind those of buffer_ that are not yet given out.

  const std::string path_;
  const std::unique_ptr<ReadableFile> file_;
  uint64_t offset_ = 0;  // Bytes of the file that were read into buffer_.
  std::string buffer_;
  size_t begin_ = 0;    // Of the next line in buffer_.
  size_t scanned_ = 0;  // No line ends in [begin_, scanned_).
  uint64_t line_ = 0;   // Number of the last line, from 1.
};

}  // namespace drover

#endif  // DROVER_COMMON_TEXT_TEXT_FILE_H_
