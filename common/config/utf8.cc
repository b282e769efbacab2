#include "common/config/utf8.h"

#include <cstddef>
#include <cstdint>

namespace drover {
namespace {

struct Lead {
  int more = -1;       // Bytes that follow; -1: no lead byte.
  uint8_t low = 0x80;  // Range of the first of them; the others are 80 to BF.
  uint8_t high = 0xBF;
};

// Unicode 15, table 3-7.
Lead ReadLead(uint8_t byte) {
  if (byte <= 0x7F) return {0};
  if (byte >= 0xC2 && byte <= 0xDF) return {1};
  if (byte == 0xE0) return {2, 0xA0};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2};
  if (byte == 0xF0) return {3, 0x90};
  if (byte >= 0xF1 && byte <= 0xF3) return {3};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {};
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    Lead lead = ReadLead(static_cast<uint8_t>(bytes[i]));
    if (lead.more < 0) return false;
    for (; lead.more > 0; --lead.more) {
      if (++i == bytes.size()) return false;
      const auto byte = static_cast<uint8_t>(bytes[i]);
      if (byte < lead.low || byte > lead.high) return false;
      lead.low = 0x80;
      lead.high = 0xBF;
    }
  }
  return true;
}

}  // namespace drover
