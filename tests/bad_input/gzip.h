// Bytes as gzip packs them; for bombs. Thread-safe: a function only.

#ifndef DROVER_TESTS_BAD_INPUT_GZIP_H_
#define DROVER_TESTS_BAD_INPUT_GZIP_H_

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace drover::bad_input {

// `count` bytes of 0.
inline std::string GzipOfZeros(size_t count) {
  z_stream stream = {};
  constexpr int kGzip = 15 + 16;
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, kGzip, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string zeros(1 << 20, '\0');
  std::string out;
  int result = Z_OK;
  while (result == Z_OK) {
    if (stream.avail_in == 0 && count > 0) {
      const size_t size = count < zeros.size() ? count : zeros.size();
      stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
      stream.avail_in = static_cast<uInt>(size);
      count -= size;
    }
    std::string piece(1 << 16, '\0');
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    result = deflate(&stream, count == 0 ? Z_FINISH : Z_NO_FLUSH);
    out.append(piece, 0, piece.size() - stream.avail_out);
  }
  EXPECT_EQ(result, Z_STREAM_END);
  deflateEnd(&stream);
  return out;
}

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_GZIP_H_
