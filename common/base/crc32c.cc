#include "common/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace drover {

uint32_t Crc32c(const void* data, size_t size, uint32_t previous) {
  // ISA-L leaves both inversions to its caller and counts in int.
  constexpr size_t kPieceBytesMax = size_t{1} << 30;
  auto* bytes = static_cast<unsigned char*>(const_cast<void*>(data));  // Read only.
  uint32_t crc = ~previous;
  while (size > 0) {
    const size_t piece = std::min(size, kPieceBytesMax);
    crc = crc32_iscsi(bytes, static_cast<int>(piece), crc);
    bytes += piece;
    size -= piece;
  }
  return ~crc;
}

}  // namespace drover
