#include "common/base/quote.h"

#include <fmt/format.h>

namespace drover {

std::string Quote(std::string_view text, size_t bytes_max) {
  std::string quoted = "\"";
  for (const char c : text.substr(0, bytes_max)) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c < ' ' || c > '~') {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  quoted += text.size() > bytes_max ? "\"..." : "\"";
  return quoted;
}

}  // namespace drover
