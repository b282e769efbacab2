#include "common/text/text_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/quote.h"
#include "common/text/pre_tokenizer.h"

namespace drover {
namespace {

constexpr uint64_t kReadBytes = uint64_t{1} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

TextFile::TextFile(std::string path, std::unique_ptr<ReadableFile> file)
    : path_(std::move(path)), file_(std::move(file)) {}

Result<std::unique_ptr<TextFile>> TextFile::Open(FileSystem& fs, const std::string& path) {
  Result<std::unique_ptr<ReadableFile>> file = fs.OpenUserFile(path);
  if (!file.ok()) return file.status();
  if (file.value()->size() == 0) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} is empty, expected lines of text", Quote(path)));
  }
  std::unique_ptr<TextFile> text(new TextFile(path, std::move(file).value()));
  DROVER_RETURN_IF_ERROR(text->Fill());
  if (text->buffer_.starts_with(kByteOrderMark)) text->begin_ = kByteOrderMark.size();
  return text;
}

std::string TextFile::Where() const { return fmt::format("{}:{}", Quote(path_), line_); }

Status TextFile::Fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  scanned_ = buffer_.size();
  const uint64_t size = std::min(kReadBytes, file_->size() - offset_);
  buffer_.resize(scanned_ + size);
  DROVER_RETURN_IF_ERROR(file_->ReadAt(offset_, buffer_.data() + scanned_, size));
  offset_ += size;
  return Status();
}

Result<bool> TextFile::Next(std::string_view* line) {
  ++line_;
  scanned_ = std::max(scanned_, begin_);
  size_t end = buffer_.find('\n', scanned_);
  while (end == std::string::npos && offset_ < file_->size() &&
         buffer_.size() - begin_ <= kLineBytesMax + 1) {
    DROVER_RETURN_IF_ERROR(Fill());
    end = buffer_.find('\n', scanned_);
  }
  if (end == std::string::npos && begin_ == buffer_.size()) return false;
  const size_t line_end = std::min(end, buffer_.size());
  *line = std::string_view(buffer_).substr(begin_, line_end - begin_);
  if (line->ends_with('\r')) line->remove_suffix(1);
  if (line->size() > kLineBytesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: the line has more than {} bytes; put each sentence on a line",
                              Where(), kLineBytesMax));
  }
  begin_ = scanned_ = std::min(line_end + 1, buffer_.size());
  return true;
}

}  // namespace drover
