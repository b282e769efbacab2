#include "common/base/logging.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "common/base/clock.h"
#include "common/base/quote.h"

namespace drover {
namespace {

std::array<std::atomic<long>, 4> logged_counts;
std::atomic<LogFormat> log_format = LogFormat::kText;

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

bool IsLogged(LogLevel level) {
  if (!spdlog::default_logger_raw()->should_log(ToSpdlog(level))) return false;
  logged_counts[static_cast<size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Print(LogLevel level, const std::string& line) {
  spdlog::default_logger_raw()->log(ToSpdlog(level), spdlog::string_view_t(line));
}

std::string Json(LogLevel level, const LogPlace& place, const std::string& message,
                 const LogFacts& facts) {
  return LogJson({Clock::Real().UnixMilliseconds(), LevelName(level),
                  spdlog::default_logger_raw()->name(), place, message, facts});
}

}  // namespace

void InitLogging(const std::string& role, const LogOptions& options) {
  log_format = options.format;
  auto logger = spdlog::stderr_color_mt(role);
  logger->set_level(ToSpdlog(options.level));
  logger->set_pattern(options.format == LogFormat::kJson ? "%v"
                                                         : "%Y-%m-%dT%H:%M:%S.%e %^%L%$ %n %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

Result<LogLevel> ParseLogLevel(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return Status(Code::kInvalidArgument,
                fmt::format("log level \"{}\": expected debug, info, warning or error", name));
}

Result<LogFormat> ParseLogFormat(const std::string& name) {
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return Status(Code::kInvalidArgument,
                fmt::format("log format {}: expected text or json", Quote(name)));
}

void LogMessage(LogLevel level, const LogPlace& place, const std::string& message) {
  if (!IsLogged(level)) return;
  Print(level,
        log_format == LogFormat::kJson ? Json(level, place, message, {}) : LogText(place, message));
}

void LogStart(const std::string& headline, const LogFacts& facts) {
  constexpr LogLevel kLevel = LogLevel::kInfo;
  if (!IsLogged(kLevel)) return;
  if (log_format == LogFormat::kJson) return Print(kLevel, Json(kLevel, {}, headline, facts));
  Print(kLevel,
        isatty(STDERR_FILENO) != 0 ? FactBlock(headline, facts) : LogText({}, headline, facts));
}

long LoggedCount(LogLevel level) {
  return logged_counts[static_cast<size_t>(level)].load(std::memory_order_relaxed);
}

}  // namespace drover
