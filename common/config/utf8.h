// Whether bytes are text. Protobuf strings must be, and so must what we print. Pure; thread-safe.

#ifndef DROVER_COMMON_CONFIG_UTF8_H_
#define DROVER_COMMON_CONFIG_UTF8_H_

#include <string_view>

namespace drover {

// Well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, at most U+10FFFF.
bool IsUtf8(std::string_view bytes);

}  // namespace drover

#endif  // DROVER_COMMON_CONFIG_UTF8_H_
