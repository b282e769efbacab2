// The files that must survive a crash, behind an interface so that tests can lose bytes, fill the
// disk or break a sync. Every error names the path and errno. Thread-safe per file and per system.

#ifndef DROVER_COMMON_BASE_FILE_SYSTEM_H_
#define DROVER_COMMON_BASE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

// A file being written from its start or its end. Destroying it closes it and drops errors: call
// Close where they matter.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status Append(const void* data, size_t size) = 0;
  virtual Status Sync() = 0;  // fsync. Never retried on the same file after an error.
  virtual Status Close() = 0;
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual uint64_t size() const = 0;
  // All of `size` bytes at `offset`, or kOutOfRange when the file is shorter.
  virtual Status ReadAt(uint64_t offset, void* data, size_t size) const = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Creates or truncates. `reserve_bytes` are allocated up front, so that a full disk shows now.
  virtual Result<std::unique_ptr<WritableFile>> Create(const std::string& path,
                                                       uint64_t reserve_bytes) = 0;
  // Creates or continues at the end.
  virtual Result<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path) = 0;
  // Regular files only; no symbolic link as the last part of the path. For what lies in our own
  // directories: state, checkpoints.
  virtual Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) = 0;
  virtual Result<std::string> ReadWhole(const std::string& path, uint64_t bytes_max) = 0;
  // The same, but symbolic links are followed. For files that a user names, which are often links:
  // job files, data sets, certificates (Kubernetes mounts secrets and configuration that way).
  virtual Result<std::unique_ptr<ReadableFile>> OpenUserFile(const std::string& path) = 0;
  virtual Result<std::string> ReadUserFile(const std::string& path, uint64_t bytes_max) = 0;

  virtual bool Exists(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;  // Sorted names.
  virtual Status MakeDirectories(const std::string& path) = 0;  // With parents; existing is fine.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status RemoveAll(const std::string& path) = 0;  // A file or a tree; absent is fine.
  virtual Status Truncate(const std::string& path, uint64_t size) = 0;
  virtual Status SyncDirectory(const std::string& path) = 0;  // Makes renames in it durable.

  // The machine's file system; lives for ever.
  static FileSystem& Real();
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_FILE_SYSTEM_H_
