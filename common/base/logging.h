// One logger per process: lines on stderr, `key=value` fields inside the message. Hides spdlog.
// Thread-safe.

#ifndef DROVER_COMMON_BASE_LOGGING_H_
#define DROVER_COMMON_BASE_LOGGING_H_

#include <fmt/format.h>

#include <string>
#include <utility>

#include "common/base/status.h"

namespace drover {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Call once in main. `role` is printed on each line, e.g. "shard/1". Lines below `level` are
// dropped.
void InitLogging(const std::string& role, LogLevel level);

// "debug", "info", "warning" or "error".
Result<LogLevel> ParseLogLevel(const std::string& name);

void LogMessage(LogLevel level, const std::string& message);

// Messages logged so far at a level, dropped ones not counted; for /metrics.
long LoggedCount(LogLevel level);

template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace drover

#endif  // DROVER_COMMON_BASE_LOGGING_H_
