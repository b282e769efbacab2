// One logger per process: lines on stderr, as text or as JSON. What a line is about (job, step,
// worker, shard) is given as a LogPlace in front of the message; other `key=value` fields stand
// inside it. Hides spdlog. Thread-safe.

#ifndef DROVER_COMMON_BASE_LOGGING_H_
#define DROVER_COMMON_BASE_LOGGING_H_

#include <fmt/format.h>

#include <string>
#include <utility>

#include "common/base/log_line.h"
#include "common/base/status.h"

namespace drover {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

enum class LogFormat { kText, kJson };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;  // Lines below it are dropped.
  LogFormat format = LogFormat::kText;
};

// Call once in main. `role` is printed on each line, e.g. "shard/1".
void InitLogging(const std::string& role, const LogOptions& options);

// "debug", "info", "warning" or "error".
Result<LogLevel> ParseLogLevel(const std::string& name);
// "text" or "json".
Result<LogFormat> ParseLogFormat(const std::string& name);

void LogMessage(LogLevel level, const LogPlace& place, const std::string& message);

// The first line of a daemon, at level info: what it is and with what it runs. On a terminal, as
// text, the facts are a block below the headline.
void LogStart(const std::string& headline, const LogFacts& facts);

// Messages logged so far at a level, dropped ones not counted; for /metrics.
long LoggedCount(LogLevel level);

template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kDebug, {}, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogDebug(const LogPlace& place, fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kDebug, place, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kInfo, {}, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogInfo(const LogPlace& place, fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kInfo, place, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kWarning, {}, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(const LogPlace& place, fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kWarning, place, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kError, {}, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(const LogPlace& place, fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(LogLevel::kError, place, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace drover

#endif  // DROVER_COMMON_BASE_LOGGING_H_
