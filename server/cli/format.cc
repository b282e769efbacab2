#include "server/cli/format.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <ctime>

#include "proto/drover/v1/job.pb.h"

namespace drover {

std::string FormatCompact(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  constexpr const char* kSuffixes[] = {"", "k", "M", "G", "T"};
  double scaled = value;
  size_t suffix = 0;
  // 999.5 would be printed as 1000.
  while (std::fabs(scaled) >= 999.5 && suffix + 1 < std::size(kSuffixes)) {
    scaled /= 1000;
    ++suffix;
  }
  if (suffix == 0) return fmt::format("{:.3g}", scaled);
  const int decimals = std::fabs(scaled) < 9.995 ? 2 : std::fabs(scaled) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", scaled, decimals, kSuffixes[suffix]);
}

std::string FormatThousands(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const size_t sign = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > sign + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string FormatBytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto scaled = static_cast<double>(bytes);
  size_t unit = 0;
  while (scaled >= 1024 && unit + 1 < std::size(kUnits)) {
    scaled /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", scaled, kUnits[unit]);
}

std::string FormatClock(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "-:--";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string FormatAge(double seconds) {
  if (!(seconds >= 0)) return "0 s";
  if (seconds < 99.5) return fmt::format("{:.0f} s", seconds);
  if (seconds < 99.5 * 60) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 47.5 * 3600) return fmt::format("{:.0f} h", seconds / 3600);
  return fmt::format("{:.0f} d", seconds / 86400);
}

std::string FormatFraction(double value) {
  return value > 0.99 && value < 1.0 ? fmt::format("{:.4f}", value) : fmt::format("{:.3f}", value);
}

std::string FormatTime(int64_t unix_ms) {
  if (unix_ms == 0) return "-";
  const std::time_t seconds = unix_ms / 1000;
  std::tm utc;
  if (gmtime_r(&seconds, &utc) == nullptr) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", utc);
}

std::string StateName(int state) {
  constexpr std::string_view kPrefix = "JOB_STATE_";
  const std::string name = v1::JobState_Name(static_cast<v1::JobState>(state));
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : fmt::format("{}", state);
}

std::string Shorten(std::string_view text, size_t width) {
  if (text.size() <= width) return std::string(text);
  if (width <= 2) return std::string(text.substr(0, width));
  return std::string(text.substr(0, width - 2)) + "..";
}

}  // namespace drover
