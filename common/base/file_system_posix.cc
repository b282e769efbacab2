#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "common/base/beneath.h"
#include "common/base/descriptor.h"
#include "common/base/file_system.h"
#include "common/base/quote.h"

namespace drover {
namespace {

constexpr uint64_t kFileBytesMax = static_cast<uint64_t>(std::numeric_limits<off_t>::max());

Code CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Code::kResourceExhausted;
    case ELOOP:
    case EEXIST:
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case ENAMETOOLONG:
      return Code::kFailedPrecondition;
    case EIO:
    case EAGAIN:
    case EBUSY:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

// `verb` says what failed, as in "open".
Status ErrnoStatus(const char* verb, const std::string& path, int error) {
  std::string reason = std::generic_category().message(error);
  if (error == ENOSPC) reason = "no space left on the device: free some or choose another disk";
  if (error == EDQUOT) reason = "no space left in the quota of this user";
  if (error == ELOOP) reason = "a symbolic link, which is not followed here (or a loop of them)";
  return Status(CodeOf(error), fmt::format("cannot {} {}: {}", verb, Quote(path), reason));
}

// A name that the kernel would cut at its NUL is some other file's name.
Status CheckPath(const std::string& path) {
  if (!path.empty() && path.find('\0') == std::string::npos) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("path {}: expected a name without NUL bytes", Quote(path)));
}

template <typename Call>
auto RetryOnInterrupt(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

enum class Links { kRefuse, kFollow };  // As the last part of a path.

// O_NONBLOCK has no effect on regular files and keeps a FIFO from blocking the open.
Result<Descriptor> Open(const std::string& path, int flags, const char* verb,
                        Links links = Links::kRefuse) {
  DROVER_RETURN_IF_ERROR(CheckPath(path));
  if (links == Links::kRefuse) flags |= O_NOFOLLOW;
  const int number =
      RetryOnInterrupt([&] { return open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0644); });
  if (number < 0) return ErrnoStatus(verb, path, errno);
  return Descriptor(number);
}

class PosixWritableFile : public WritableFile {
 public:
  // `reserved` bytes from the start are allocated though perhaps not used.
  PosixWritableFile(std::string path, Descriptor file, uint64_t reserved)
      : path_(std::move(path)), file_(std::move(file)), reserved_(reserved) {}

  Status Append(const void* data, size_t size) override {
    DROVER_RETURN_IF_ERROR(CheckUsable());
    const char* bytes = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t written = RetryOnInterrupt([&] { return write(file_.number(), bytes, size); });
      if (written < 0) return Break(ErrnoStatus("write", path_, errno));
      bytes += written;
      size -= static_cast<size_t>(written);
      written_ += static_cast<uint64_t>(written);
    }
    return Status();
  }

  Status Sync() override {
    DROVER_RETURN_IF_ERROR(CheckUsable());
    if (RetryOnInterrupt([&] { return fsync(file_.number()); }) != 0) {
      return Break(ErrnoStatus("sync", path_, errno));
    }
    return Status();
  }

  Status Close() override {
    DROVER_RETURN_IF_ERROR(CheckUsable());
    if (written_ < reserved_ && RetryOnInterrupt([&] {
                                  return ftruncate(file_.number(), static_cast<off_t>(written_));
                                }) != 0) {
      return Break(ErrnoStatus("give back the unused end of", path_, errno));
    }
    // Linux frees the descriptor even when close is interrupted: never again.
    if (close(file_.Release()) != 0 && errno != EINTR) {
      return Break(ErrnoStatus("close", path_, errno));
    }
    return Status();
  }

 private:
  Status CheckUsable() const {
    if (!broken_.ok()) return broken_;
    if (file_.number() >= 0) return Status();
    return Status(Code::kFailedPrecondition, fmt::format("{} is closed", Quote(path_)));
  }

  // The kernel may have dropped the dirty pages of a failed write or sync, and a second try would
  // then succeed without them: the first error sticks.
  Status Break(Status status) {
    broken_ = std::move(status);
    return broken_;
  }

  const std::string path_;
  Descriptor file_;
  const uint64_t reserved_;
  uint64_t written_ = 0;
  Status broken_;
};

class PosixReadableFile : public ReadableFile {
 public:
  PosixReadableFile(std::string path, Descriptor file, uint64_t size)
      : path_(std::move(path)), file_(std::move(file)), size_(size) {}

  uint64_t size() const override { return size_; }

  Status ReadAt(uint64_t offset, void* data, size_t size) const override {
    if (offset > kFileBytesMax - size) return PastEnd(offset, size);
    char* bytes = static_cast<char*>(data);
    for (size_t done = 0; done < size;) {
      const ssize_t got = RetryOnInterrupt([&] {
        return pread(file_.number(), bytes + done, size - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return ErrnoStatus("read", path_, errno);
      if (got == 0) return PastEnd(offset, size);
      done += static_cast<size_t>(got);
    }
    return Status();
  }

 private:
  Status PastEnd(uint64_t offset, size_t size) const {
    return Status(Code::kOutOfRange, fmt::format("{} is too short: expected {} bytes at {}",
                                                 Quote(path_), size, offset));
  }

  const std::string path_;
  const Descriptor file_;
  const uint64_t size_;
};

// Where the file system cannot allocate ahead, its free space is the best that is known. The file
// keeps its size: a reader must never take a reserved end for content.
Status Reserve(const Descriptor& file, const std::string& path, uint64_t bytes) {
  if (bytes == 0) return Status();
  if (bytes > kFileBytesMax) return ErrnoStatus("reserve", path, EFBIG);
  const int result = RetryOnInterrupt(
      [&] { return fallocate(file.number(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)); });
  if (result == 0) return Status();
  const bool unsupported = errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV ||
                           errno == EINVAL || errno == ESPIPE;
  if (!unsupported) return ErrnoStatus("reserve space for", path, errno);
  struct statvfs disk = {};
  if (fstatvfs(file.number(), &disk) != 0 || disk.f_blocks == 0) return Status();
  if (disk.f_bavail < bytes / disk.f_frsize) {
    return ErrnoStatus("reserve space for", path, ENOSPC);
  }
  return Status();
}

Result<std::unique_ptr<ReadableFile>> RegularFile(const std::string& path,
                                                  Result<Descriptor> file) {
  if (!file.ok()) return file.status();
  struct stat info = {};
  if (fstat(file.value().number(), &info) != 0) return ErrnoStatus("inspect", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("cannot read {}: expected a regular file", Quote(path)));
  }
  return std::unique_ptr<ReadableFile>(std::make_unique<PosixReadableFile>(
      path, std::move(file).value(), static_cast<uint64_t>(info.st_size)));
}

// Without "." and empty parts; a trailing slash goes too. "" for the root folder itself.
std::string PlainPath(const std::string& path) {
  std::string plain;
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (!part.empty() && part != ".") plain += "/" + part;
    begin = end + 1;
  }
  return path.starts_with('/') || plain.empty() ? plain : plain.substr(1);
}

constexpr int kBeneathFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

// Part by part, where the kernel cannot do it in one call: no link and no ".." is taken.
int OpenPartByPart(int root, const std::string& path) {
  int folder = dup(root);
  size_t begin = 0;
  while (folder >= 0) {
    const size_t slash = path.find('/', begin);
    const std::string part = path.substr(begin, slash - begin);
    const bool last = slash == std::string::npos;
    const int flags = O_NOFOLLOW | (last ? kBeneathFlags : O_PATH | O_DIRECTORY | O_CLOEXEC);
    const int next = part == ".." ? -1 : openat(folder, part.c_str(), flags);
    const int error = part == ".." ? EXDEV : errno;
    close(folder);
    if (next < 0) errno = error;
    if (last || next < 0) return next;
    folder = next;
    begin = slash + 1;
  }
  return -1;
}

int OpenBeneath(int root, const std::string& path) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(kBeneathFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const auto opened = RetryOnInterrupt([&] {
    return static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how)));
  });
  // EAGAIN: something was renamed meanwhile, and the kernel is not sure.
  const bool unsure = opened < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN);
  return unsure ? OpenPartByPart(root, path) : opened;
}

class PosixFileSystem : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> Create(const std::string& path,
                                               uint64_t reserve_bytes) override {
    Result<Descriptor> file = Open(path, O_WRONLY | O_CREAT | O_TRUNC, "create");
    if (!file.ok()) return file.status();
    if (Status reserved = Reserve(file.value(), path, reserve_bytes); !reserved.ok()) {
      unlink(path.c_str());  // What was there is gone already; leave no empty file that looks real.
      return reserved;
    }
    return std::unique_ptr<WritableFile>(
        std::make_unique<PosixWritableFile>(path, std::move(file).value(), reserve_bytes));
  }

  Result<std::unique_ptr<WritableFile>> OpenForAppend(const std::string& path) override {
    Result<Descriptor> file = Open(path, O_WRONLY | O_CREAT | O_APPEND, "open");
    if (!file.ok()) return file.status();
    return std::unique_ptr<WritableFile>(
        std::make_unique<PosixWritableFile>(path, std::move(file).value(), /*reserved=*/0));
  }

  Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override {
    return OpenToRead(path, Links::kRefuse);
  }
  Result<std::string> ReadWhole(const std::string& path, uint64_t bytes_max) override {
    return ReadAll(path, bytes_max, OpenForRead(path));
  }
  Result<std::unique_ptr<ReadableFile>> OpenUserFile(const std::string& path) override {
    return OpenToRead(path, Links::kFollow);
  }
  Result<std::string> ReadUserFile(const std::string& path, uint64_t bytes_max) override {
    return ReadAll(path, bytes_max, OpenUserFile(path));
  }
  bool Exists(const std::string& path) override {
    struct stat info = {};
    return CheckPath(path).ok() && lstat(path.c_str(), &info) == 0;
  }

  Result<std::vector<std::string>> List(const std::string& directory) override {
    DROVER_RETURN_IF_ERROR(CheckPath(directory));
    DIR* const stream = opendir(directory.c_str());
    if (stream == nullptr) return ErrnoStatus("list", directory, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(stream)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int error = errno;
    closedir(stream);
    if (error != 0) return ErrnoStatus("list", directory, error);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status MakeDirectories(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(CheckPath(path));
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return ErrnoStatus("make directory", path, error.value());
    return Status();
  }

  Status Rename(const std::string& from, const std::string& to) override {
    DROVER_RETURN_IF_ERROR(CheckPath(from));
    DROVER_RETURN_IF_ERROR(CheckPath(to));
    if (rename(from.c_str(), to.c_str()) == 0) return Status();
    return ErrnoStatus("rename", from, errno).Annotate("new name " + Quote(to));
  }

  Status RemoveAll(const std::string& path) override {
    DROVER_RETURN_IF_ERROR(CheckPath(path));
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return ErrnoStatus("remove", path, error.value());
    return Status();
  }

  Status Truncate(const std::string& path, uint64_t size) override {
    if (size > kFileBytesMax) return ErrnoStatus("truncate", path, EFBIG);
    const Result<Descriptor> file = Open(path, O_WRONLY, "truncate");
    if (!file.ok()) return file.status();
    const int result = RetryOnInterrupt(
        [&] { return ftruncate(file.value().number(), static_cast<off_t>(size)); });
    return result == 0 ? Status() : ErrnoStatus("truncate", path, errno);
  }

  Status SyncDirectory(const std::string& path) override {
    const Result<Descriptor> directory = Open(path, O_RDONLY | O_DIRECTORY, "open directory");
    if (!directory.ok()) return directory.status();
    const int result = RetryOnInterrupt([&] { return fsync(directory.value().number()); });
    return result == 0 ? Status() : ErrnoStatus("sync directory", path, errno);
  }

 private:
  static Result<std::unique_ptr<ReadableFile>> OpenToRead(const std::string& path, Links links) {
    return RegularFile(path, Open(path, O_RDONLY, "open", links));
  }

  static Result<std::string> ReadAll(const std::string& path, uint64_t bytes_max,
                                     const Result<std::unique_ptr<ReadableFile>>& file) {
    if (!file.ok()) return file.status();
    if (file.value()->size() > bytes_max) {
      return Status(Code::kInvalidArgument,
                    fmt::format("{} has {} bytes: expected at most {}", Quote(path),
                                file.value()->size(), bytes_max));
    }
    std::string content(file.value()->size(), '\0');
    DROVER_RETURN_IF_ERROR(file.value()->ReadAt(0, content.data(), content.size()));
    return content;
  }
};

}  // namespace

bool IsSpelledBeneath(const std::string& root, const std::string& path) {
  const std::string outer = PlainPath(root);
  const std::string inner = PlainPath(path);
  return path.starts_with('/') && inner.starts_with(outer) &&
         (inner.size() == outer.size() || inner[outer.size()] == '/');
}

Result<std::unique_ptr<ReadableFile>> OpenUserFileBeneath(const std::string& root,
                                                          const std::string& path) {
  const auto outside = [&] {
    return Status(Code::kPermissionDenied,
                  fmt::format("{} does not lie in {}", Quote(path), Quote(root)));
  };
  DROVER_RETURN_IF_ERROR(CheckPath(path));
  std::string inside = PlainPath(path);
  if (path.starts_with('/')) {
    if (!IsSpelledBeneath(root, path)) return outside();
    inside = inside.substr(std::min(inside.size(), PlainPath(root).size() + 1));
  }
  const Result<Descriptor> folder = Open(root, O_PATH | O_DIRECTORY, "open", Links::kFollow);
  if (!folder.ok()) return folder.status();
  const int file = OpenBeneath(folder.value().number(), inside.empty() ? "." : inside);
  if (file >= 0) return RegularFile(path, Descriptor(file));
  if (errno == EXDEV) return outside();
  return ErrnoStatus("open", path, errno);
}

FileSystem& FileSystem::Real() {
  static PosixFileSystem file_system;
  return file_system;
}

}  // namespace drover
