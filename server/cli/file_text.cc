#include "server/cli/file_text.h"

#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "common/base/file_system.h"

namespace drover {
namespace {

constexpr uint64_t kTailBytesMax = 8192;

std::string Tail(const std::string& path) {
  const Result<std::unique_ptr<ReadableFile>> file = FileSystem::Real().OpenForRead(path);
  if (!file.ok()) return "";
  const uint64_t size = file.value()->size();
  std::string text(std::min(size, kTailBytesMax), '\0');
  if (!file.value()->ReadAt(size - text.size(), text.data(), text.size()).ok()) return "";
  return text;
}

}  // namespace

Status ReplaceFile(const std::string& path, const std::string& text) {
  FileSystem& fs = FileSystem::Real();
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  Result<std::unique_ptr<WritableFile>> file = fs.Create(temporary, 0);
  if (!file.ok()) return file.status();
  Status written = file.value()->Append(text.data(), text.size());
  if (written.ok()) written = file.value()->Sync();
  if (written.ok()) written = file.value()->Close();
  if (written.ok()) written = fs.Rename(temporary, path);
  if (!written.ok()) (void)fs.RemoveAll(temporary);
  return written;
}

Status CheckWritable(const std::string& path) {
  FileSystem& fs = FileSystem::Real();
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  const Result<std::unique_ptr<WritableFile>> file = fs.Create(temporary, 0);
  if (!file.ok()) return file.status();
  return fs.RemoveAll(temporary);
}

std::string LastLines(const std::string& path, int lines) {
  std::string text = Tail(path);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty()) return "  (empty)";
  size_t begin = text.size();
  for (int i = 0; i < lines && begin != std::string::npos && begin > 0; ++i) {
    begin = text.rfind('\n', begin - 1);
  }
  text = begin == std::string::npos || begin == 0 ? text : text.substr(begin + 1);
  std::string indented = "  ";
  for (const char c : text) {
    indented += c;
    if (c == '\n') indented += "  ";
  }
  return indented;
}

Result<std::string> AbsolutePath(const std::string& path) {
  if (path.starts_with('/')) return path;
  char directory[4096];
  if (getcwd(directory, sizeof(directory)) == nullptr) {
    return Status(Code::kUnknown,
                  fmt::format("reading the current directory: {}", strerror(errno)));
  }
  return fmt::format("{}/{}", directory, path);
}

}  // namespace drover
