// The files that jobs may name as their dataset: those beneath the folders that whoever started
// the worker gave, or none. Reads only. Thread-safe.

#ifndef DROVER_WORKER_DATA_DATA_FILES_H_
#define DROVER_WORKER_DATA_DATA_FILES_H_

#include <memory>
#include <string>
#include <vector>

#include "common/base/file_system.h"

namespace drover {

class DataFiles final : public FileSystem {
 public:
  // Absolute paths to folders. kInvalidArgument names one that is none. Without any, every file is
  // refused with a message that says what to do.
  static Result<std::unique_ptr<DataFiles>> Open(const std::vector<std::string>& roots);

  // `path` is absolute and lies in one of the folders, or relative and is looked for in each, in
  // their order. kPermissionDenied when it is, or leads, elsewhere.
  Result<std::unique_ptr<ReadableFile>> OpenUserFile(const std::string& path) override;
  bool Exists(const std::string& path) override { return OpenUserFile(path).ok(); }

  // All kPermissionDenied.
  Result<std::unique_ptr<WritableFile>> Create(const std::string& path, uint64_t) override;
  Result<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path) override;
  Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override;
  Result<std::string> ReadWhole(const std::string& path, uint64_t) override;
  Result<std::string> ReadUserFile(const std::string& path, uint64_t) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Status MakeDirectories(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status RemoveAll(const std::string& path) override;
  Status Truncate(const std::string& path, uint64_t) override;
  Status SyncDirectory(const std::string& path) override;

 private:
  explicit DataFiles(std::vector<std::string> roots) : roots_(std::move(roots)) {}

  const std::vector<std::string> roots_;
};

}  // namespace drover

#endif  // DROVER_WORKER_DATA_DATA_FILES_H_
