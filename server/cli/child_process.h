// A program started by this one, with its output in a log file. It never outlives us: the kernel
// kills it when the thread that started it ends. Not thread-safe.

#ifndef DROVER_SERVER_CLI_CHILD_PROCESS_H_
#define DROVER_SERVER_CLI_CHILD_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

class ChildProcess {
 public:
  ChildProcess() = default;  // None.
  ~ChildProcess();           // Kills and reaps.
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  // `arguments[0]` is the program's path. stdout and stderr are appended to `log_path`; stdin is
  // empty. In a process group of its own, so that Ctrl-C reaches only us.
  static Result<ChildProcess> Start(const std::vector<std::string>& arguments,
                                    const std::string& log_path);

  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }
  // How it ended, as waitpid says it, once it has; never waits.
  std::optional<int> Poll();
  void Signal(int signal) const;

 private:
  pid_t pid_ = 0;  // 0: none, or reaped.
};

// "exit code 78", "killed by signal 9 (Killed)".
std::string DescribeExit(int wait_status);

// Whether it ended by exit with this code.
bool ExitedWith(int wait_status, int code);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_CHILD_PROCESS_H_
