#include "common/base/logging.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>

namespace drover {
namespace {

std::array<std::atomic<long>, 4> logged_counts;

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

}  // namespace

void InitLogging(const std::string& role, LogLevel level) {
  auto logger = spdlog::stderr_color_mt(role);
  logger->set_level(ToSpdlog(level));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%L%$ %n %v");
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

void LogMessage(LogLevel level, const std::string& message) {
  if (spdlog::default_logger_raw()->should_log(ToSpdlog(level))) {
    logged_counts[static_cast<size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  }
  spdlog::default_logger_raw()->log(ToSpdlog(level), spdlog::string_view_t(message));
}

long LoggedCount(LogLevel level) {
  return logged_counts[static_cast<size_t>(level)].load(std::memory_order_relaxed);
}

}  // namespace drover
