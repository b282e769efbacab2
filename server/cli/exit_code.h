// What `drover` answers to its caller, and how it says what went wrong. Thread-safe.

#ifndef DROVER_SERVER_CLI_EXIT_CODE_H_
#define DROVER_SERVER_CLI_EXIT_CODE_H_

#include <string>

#include "common/base/status.h"

namespace drover {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // The job or the check failed, or anything else.
inline constexpr int kExitUsage = 2;        // Command line or job file.
inline constexpr int kExitNotFound = 3;     // No such job or checkpoint.
inline constexpr int kExitUnavailable = 4;  // No server.
inline constexpr int kExitTimeout = 5;
inline constexpr int kExitInterrupted = 130;  // Ctrl-C.

int ExitCodeOf(const Status& status);

// "error: ..." and, unless `hint` is empty, "hint: ..." on stderr. A message of several lines is
// printed line by line. Returns the exit code of `status`.
int ReportError(const Status& status, const std::string& hint = "");

// As ReportError, with the hint that fits a failed call to `server`.
int ReportCallError(const Status& status, const std::string& server);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_EXIT_CODE_H_
