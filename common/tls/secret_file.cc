#include "common/tls/secret_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "common/base/quote.h"

namespace drover {
namespace {

Status Failure(const char* verb, const std::string& path, int error) {
  const Code code = error == EEXIST   ? Code::kAlreadyExists
                    : error == ENOENT ? Code::kNotFound
                                      : Code::kPermissionDenied;
  return Status(code, fmt::format("cannot {} {}: {}", verb, Quote(path),
                                  std::generic_category().message(error)));
}

bool WriteAll(int file, const std::string& contents) {
  size_t done = 0;
  while (done < contents.size()) {
    const ssize_t written = write(file, contents.data() + done, contents.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    done += static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

Status WriteNewFile(const std::string& path, const std::string& contents, unsigned mode) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return Failure("create", path, errno);
  const bool written = fchmod(file, mode) == 0 && WriteAll(file, contents) && fsync(file) == 0;
  const int error = errno;
  const bool closed = close(file) == 0;
  if (written && closed) return Status();
  const Status status = Failure("write", path, written ? errno : error);
  unlink(path.c_str());
  return status;
}

Status ReplaceFile(const std::string& path, const std::string& contents, unsigned mode) {
  const std::string temporary = fmt::format("{}.new-{}", path, getpid());
  unlink(temporary.c_str());  // Of a process of this number that died here.
  DROVER_RETURN_IF_ERROR(WriteNewFile(temporary, contents, mode));
  if (rename(temporary.c_str(), path.c_str()) == 0) return Status();
  const Status status = Failure("replace", path, errno);
  unlink(temporary.c_str());
  return status;
}

Status CheckSecretMode(const std::string& path) {
  struct stat found = {};
  if (stat(path.c_str(), &found) != 0) return Failure("look at", path, errno);
  if ((found.st_mode & S_IRWXO) == 0) return Status();
  return Status(Code::kPermissionDenied,
                fmt::format("{} is open to every account of this machine (mode {:04o}): chmod 600 "
                            "it, and make a new one if others may have read it",
                            Quote(path), static_cast<unsigned>(found.st_mode & 07777)));
}

std::string FileStamp(const std::string& path) {
  struct stat found = {};
  if (stat(path.c_str(), &found) != 0) return "";
  return fmt::format("{}-{}-{}-{}.{}", found.st_dev, found.st_ino, found.st_size,
                     found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
}

}  // namespace drover
