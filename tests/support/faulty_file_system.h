// A file system that breaks on demand: the Nth operation that changes something fails, writes only
// half, or is the last one before a crash. Wraps a real one and counts. One thread.

#ifndef DROVER_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_
#define DROVER_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"

namespace drover {

class FaultyFileSystem : public FileSystem {
 public:
  enum class Fault {
    kDiskFull,  // The Nth operation writes half of its bytes and fails with kResourceExhausted.
    kIoError,   // The Nth operation writes nothing and fails with kUnavailable.
    kCrash,     // The Nth operation writes half; it and everything after it fails.
  };

  explicit FaultyFileSystem(FileSystem& base) : base_(base) {}

  // Breaks operation `number` from now on, counted from 1. 0 = none.
  void BreakAt(int number, Fault fault) {
    count_ = 0;
    break_at_ = number;
    fault_ = fault;
  }
  int count() const { return count_; }  // Operations since BreakAt.
  bool crashed() const { return fault_ == Fault::kCrash && break_at_ > 0 && count_ >= break_at_; }

  // After a crash: cuts every file back to what was synced, as a power loss may.
  Status LoseUnsynced() {
    for (const auto& [path, file] : files_) {
      if (file.synced < file.written && base_.Exists(path)) {
        DROVER_RETURN_IF_ERROR(base_.Truncate(path, file.synced));
      }
    }
    return Status();
  }

  Result<std::unique_ptr<WritableFile>> Create(const std::string& path,
                                               uint64_t reserve_bytes) override {
    DROVER_RETURN_IF_ERROR(Step());
    Result<std::unique_ptr<WritableFile>> file = base_.Create(path, reserve_bytes);
    if (!file.ok()) return file.status();
    files_[path] = {};
    return Wrap(path, std::move(file).value());
  }
  Result<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(Step());
    Result<std::unique_ptr<WritableFile>> file = base_.OpenForAppend(path);
    if (!file.ok()) return file.status();
    return Wrap(path, std::move(file).value());
  }
  Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(Alive());
    return base_.OpenForRead(path);
  }
  Result<std::string> ReadWhole(const std::string& path, uint64_t bytes_max) override {
    DROVER_RETURN_IF_ERROR(Alive());
    return base_.ReadWhole(path, bytes_max);
  }
  Result<std::unique_ptr<ReadableFile>> OpenUserFile(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(Alive());
    return base_.OpenUserFile(path);
  }
  Result<std::string> ReadUserFile(const std::string& path, uint64_t bytes_max) override {
    DROVER_RETURN_IF_ERROR(Alive());
    return base_.ReadUserFile(path, bytes_max);
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }
  Result<std::vector<std::string>> List(const std::string& directory) override {
    DROVER_RETURN_IF_ERROR(Alive());
    return base_.List(directory);
  }
  Status MakeDirectories(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(Step());
    return base_.MakeDirectories(path);
  }
  Status Rename(const std::string& from, const std::string& to) override {
    DROVER_RETURN_IF_ERROR(Step());
    DROVER_RETURN_IF_ERROR(base_.Rename(from, to));
    std::map<std::string, Written> moved;
    for (const auto& [path, file] : files_) {
      const bool inside = path == from || path.rfind(from + "/", 0) == 0;
      moved[inside ? to + path.substr(from.size()) : path] = file;
    }
    files_ = std::move(moved);
    return Status();
  }
  Status RemoveAll(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(Step());
    return base_.RemoveAll(path);
  }
  Status Truncate(const std::string& path, uint64_t size) override {
    DROVER_RETURN_IF_ERROR(Step());
    return base_.Truncate(path, size);
  }
  Status SyncDirectory(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(Step());
    return base_.SyncDirectory(path);
  }

 private:
  struct Written {
    uint64_t written = 0;
    uint64_t synced = 0;
  };

  class File : public WritableFile {
   public:
    File(FaultyFileSystem& system, std::string path, std::unique_ptr<WritableFile> base)
        : system_(system), path_(std::move(path)), base_(std::move(base)) {}

    Status Append(const void* data, size_t size) override {
      const Status status = system_.Step();
      if (!status.ok() && !system_.broken_writes_half()) return status;
      const size_t taken = status.ok() ? size : size / 2;
      DROVER_RETURN_IF_ERROR(base_->Append(data, taken));
      system_.files_[path_].written += taken;
      return status;
    }
    Status Sync() override {
      DROVER_RETURN_IF_ERROR(system_.Step());
      DROVER_RETURN_IF_ERROR(base_->Sync());
      system_.files_[path_].synced = system_.files_[path_].written;
      return Status();
    }
    Status Close() override {
      DROVER_RETURN_IF_ERROR(system_.Step());
      return base_->Close();
    }

   private:
    FaultyFileSystem& system_;
    const std::string path_;
    const std::unique_ptr<WritableFile> base_;
  };

  std::unique_ptr<WritableFile> Wrap(const std::string& path, std::unique_ptr<WritableFile> file) {
    return std::make_unique<File>(*this, path, std::move(file));
  }

  // True only for the broken operation itself: a crashed process writes no more.
  bool broken_writes_half() const { return count_ == break_at_ && fault_ != Fault::kIoError; }

  Status Alive() const {
    if (!crashed()) return Status();
    return Status(Code::kInternal, "this process has crashed");
  }

  Status Step() {
    ++count_;
    DROVER_RETURN_IF_ERROR(Alive());
    if (count_ != break_at_) return Status();
    if (fault_ == Fault::kDiskFull) return Status(Code::kResourceExhausted, "injected: disk full");
    return Status(Code::kUnavailable, "injected: I/O error");
  }

  FileSystem& base_;
  int count_ = 0;
  int break_at_ = 0;
  Fault fault_ = Fault::kIoError;
  std::map<std::string, Written> files_;
};

}  // namespace drover

#endif  // DROVER_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_
