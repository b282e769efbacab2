// Text to numbers without exceptions. The whole text must be used; errors quote it. Thread-safe.

#ifndef DROVER_COMMON_BASE_PARSE_H_
#define DROVER_COMMON_BASE_PARSE_H_

#include <cstdint>
#include <string_view>

#include "common/base/status.h"

namespace drover {

Result<int64_t> ParseInt(std::string_view text);  // "32768", "-3", "32Ki", "1Mi"; "32k" is refused.
Result<double> ParseFloat(std::string_view text);   // "1e-3", ".5"; no hexadecimal, no nan or inf.
Result<int64_t> ParseBytes(std::string_view text);  // "4MiB", "512", "64KiB".
Result<int64_t> ParseMilliseconds(std::string_view text);  // "250ms", "90s", "10m", "2h".

}  // namespace drover

#endif  // DROVER_COMMON_BASE_PARSE_H_
