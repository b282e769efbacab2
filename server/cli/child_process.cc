#include "server/cli/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "common/base/descriptor.h"

namespace drover {
namespace {

constexpr int kErrorFd = 3;

Status ErrnoStatus(const std::string& what, int error) {
  const Code code = error == ENOENT   ? Code::kNotFound
                    : error == EACCES ? Code::kPermissionDenied
                    : error == ENOSPC ? Code::kResourceExhausted
                                      : Code::kUnknown;
  return Status(code, fmt::format("{}: {}", what, strerror(error)));
}

// Between fork and exec: only what POSIX calls async-signal-safe, for the parent has threads.
[[noreturn]] void RunChild(char* const* arguments, int log_fd, int null_fd, int error_fd,
                           pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // It died before the line above.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  dup2(null_fd, 0);
  dup2(log_fd, 1);
  dup2(log_fd, 2);
  // exec closes it: its end without a byte says that the program runs.
  if (error_fd == kErrorFd) {
    fcntl(error_fd, F_SETFD, FD_CLOEXEC);
  } else {
    dup3(error_fd, kErrorFd, O_CLOEXEC);
  }
  close_range(kErrorFd + 1, ~0U, 0);
  execv(arguments[0], arguments);
  const int error = errno;
  const ssize_t written = write(kErrorFd, &error, sizeof(error));
  _exit(written == sizeof(error) ? 127 : 126);
}

}  // namespace

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  return *this;
}

Result<ChildProcess> ChildProcess::Start(const std::vector<std::string>& arguments,
                                         const std::string& log_path) {
  const Descriptor log(open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (log.number() < 0) return ErrnoStatus("opening " + log_path, errno);
  const Descriptor null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (null.number() < 0) return ErrnoStatus("opening /dev/null", errno);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("making a pipe", errno);
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus("starting " + arguments[0], errno);
  if (pid == 0) RunChild(argv.data(), log.number(), null.number(), write_end.number(), parent);

  ChildProcess child;
  child.pid_ = pid;
  write_end.Close();
  int error = 0;
  if (read(read_end.number(), &error, sizeof(error)) == sizeof(error)) {
    return ErrnoStatus("starting " + arguments[0], error);
  }
  return child;
}

std::optional<int> ChildProcess::Poll() {
  if (pid_ <= 0) return std::nullopt;
  int wait_status = 0;
  if (waitpid(pid_, &wait_status, WNOHANG) != pid_) return std::nullopt;
  pid_ = 0;
  return wait_status;
}

void ChildProcess::Signal(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return fmt::format("killed by signal {} ({})", WTERMSIG(wait_status),
                       strsignal(WTERMSIG(wait_status)));
  }
  return fmt::format("exit code {}", WEXITSTATUS(wait_status));
}

bool ExitedWith(int wait_status, int code) {
  return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == code;
}

}  // namespace drover
