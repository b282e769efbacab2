// CRC-32C (Castagnoli), the checksum of frames, redo records and checkpoints. RFC 3720 B.4: the
// value of 32 zero bytes is 0x8a9136aa. Thread-safe.

#ifndef DROVER_COMMON_BASE_CRC32C_H_
#define DROVER_COMMON_BASE_CRC32C_H_

#include <cstddef>
#include <cstdint>

namespace drover {

// Checksum of `size` bytes that continue data whose checksum is `previous` (0 at the start).
uint32_t Crc32c(const void* data, size_t size, uint32_t previous = 0);

}  // namespace drover

#endif  // DROVER_COMMON_BASE_CRC32C_H_
