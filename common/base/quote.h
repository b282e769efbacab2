// How text from outside is shown in a message: it may be long, or hold newlines and control bytes
// that would forge log lines. Thread-safe.

#ifndef DROVER_COMMON_BASE_QUOTE_H_
#define DROVER_COMMON_BASE_QUOTE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace drover {

// `text` in double quotes: bytes outside printable ASCII as \xNN, quote and backslash escaped, cut
// after `bytes_max` bytes with "..." in place of the rest.
std::string Quote(std::string_view text, size_t bytes_max = 200);

}  // namespace drover

#endif  // DROVER_COMMON_BASE_QUOTE_H_
