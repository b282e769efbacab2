#include "worker/data/data_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <system_error>

#include "common/base/beneath.h"
#include "common/base/quote.h"

namespace drover {
namespace {

Status NotForData(const std::string& path) {
  return Status(Code::kPermissionDenied,
                fmt::format("{}: datasets are opened and read, nothing else", Quote(path)));
}

}  // namespace

Result<std::unique_ptr<DataFiles>> DataFiles::Open(const std::vector<std::string>& roots) {
  for (const std::string& root : roots) {
    std::error_code error;
    if (root.starts_with('/') && std::filesystem::is_directory(root, error)) continue;
    return Status(
        Code::kInvalidArgument,
        fmt::format("--data-root {}: expected the absolute path of a folder that is there",
                    Quote(root)));
  }
  return std::unique_ptr<DataFiles>(new DataFiles(roots));
}

Result<std::unique_ptr<ReadableFile>> DataFiles::OpenUserFile(const std::string& path) {
  if (roots_.empty()) {
    return Status(Code::kPermissionDenied,
                  fmt::format("{}: with a coordinator on another machine a worker reads datasets "
                              "only from folders that it was started with: give it --data-root DIR",
                              Quote(path)));
  }
  Status status(Code::kPermissionDenied,
                fmt::format("{} does not lie in the worker's --data-root {}", Quote(path),
                            fmt::join(roots_, ", ")));
  for (const std::string& root : roots_) {
    if (path.starts_with('/') && !IsSpelledBeneath(root, path)) continue;
    Result<std::unique_ptr<ReadableFile>> file = OpenUserFileBeneath(root, path);
    if (file.ok() || file.status().code() != Code::kNotFound) return file;
    status = file.status();
  }
  return status;
}

Result<std::unique_ptr<WritableFile>> DataFiles::Create(const std::string& path, uint64_t) {
  return NotForData(path);
}
Result<std::unique_ptr<WritableFile>> DataFiles::OpenForAppend(const std::string& path) {
  return NotForData(path);
}
Result<std::unique_ptr<ReadableFile>> DataFiles::OpenForRead(const std::string& path) {
  return NotForData(path);
}
Result<std::string> DataFiles::ReadWhole(const std::string& path, uint64_t) {
  return NotForData(path);
}
Result<std::string> DataFiles::ReadUserFile(const std::string& path, uint64_t) {
  return NotForData(path);
}
Result<std::vector<std::string>> DataFiles::List(const std::string& directory) {
  return NotForData(directory);
}
Status DataFiles::MakeDirectories(const std::string& path) { return NotForData(path); }
Status DataFiles::Rename(const std::string& from, const std::string&) { return NotForData(from); }
Status DataFiles::RemoveAll(const std::string& path) { return NotForData(path); }
Status DataFiles::Truncate(const std::string& path, uint64_t) { return NotForData(path); }
Status DataFiles::SyncDirectory(const std::string& path) { return NotForData(path); }

}  // namespace drover
