// Numbers and times as people read them. Pure; thread-safe.

#ifndef DROVER_SERVER_CLI_FORMAT_H_
#define DROVER_SERVER_CLI_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace drover {

std::string FormatCompact(double value);     // "0.82", "912", "91.3k", "1.20M"; 3 digits.
std::string FormatThousands(int64_t value);  // "2,392,064".
std::string FormatBytes(int64_t bytes);      // "512 B", "4.0 MiB".
std::string FormatClock(double seconds);     // "0:41", "12:05", "1:02:03"; "-:--" if not finite.
std::string FormatAge(double seconds);       // "12 s", "3 min", "2 h", "5 d".
std::string FormatFraction(double value);    // "0.947"; more digits near 1: "0.9971".
std::string FormatTime(int64_t unix_ms);     // "2024-05-01 12:00:00 UTC"; "-" for 0.

// "RUNNING" of JOB_STATE_RUNNING; its number when this version does not know the state.
std::string StateName(int state);

// `text` cut to `width` bytes, ending in ".." when something is missing. For ASCII.
std::string Shorten(std::string_view text, size_t width);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_FORMAT_H_
