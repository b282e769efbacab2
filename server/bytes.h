// Fixed-width integers of file headers, little-endian as on every machine we build for. Not for
// frames of the wire (common/rpc). Thread-safe.

#ifndef DROVER_SERVER_BYTES_H_
#define DROVER_SERVER_BYTES_H_

#include <bit>
#include <cstring>
#include <string>

namespace drover {

static_assert(std::endian::native == std::endian::little, "files are written as memory lies");

template <typename T>
void AppendInteger(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// The caller has checked that sizeof(T) bytes are there.
template <typename T>
T IntegerAt(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

}  // namespace drover

#endif  // DROVER_SERVER_BYTES_H_
