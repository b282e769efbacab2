// Frames as a worker would send them and as the network would cut them, for tests of the shard.

#ifndef DROVER_TESTS_UNIT_SERVER_SHARD_GRADIENT_FRAMES_H_
#define DROVER_TESTS_UNIT_SERVER_SHARD_GRADIENT_FRAMES_H_

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/frame.h"

namespace drover {

// A frame with this header, payload_bytes and payload_crc made right, cut into slices of `cut`
// bytes after the header (0: not cut).
inline ReceivedFrame FrameOf(FrameHeader header, const std::string& payload, size_t cut = 0) {
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  if (header.payload_crc == 0) {
    const ByteSpan span[] = {AsBytes(payload)};
    header.payload_crc = PayloadCrc(span);
  }
  std::byte bytes[kFrameHeaderBytes];
  EncodeFrameHeader(header, bytes);
  std::vector<grpc::Slice> slices;
  slices.emplace_back(bytes, sizeof(bytes));
  const size_t piece = cut == 0 ? std::max<size_t>(payload.size(), 1) : cut;
  for (size_t begin = 0; begin < payload.size(); begin += piece) {
    slices.emplace_back(payload.data() + begin, std::min(piece, payload.size() - begin));
  }
  Result<ReceivedFrame> frame = ParseFrame(grpc::ByteBuffer(slices.data(), slices.size()));
  EXPECT_TRUE(frame.ok()) << frame.status().ToString();
  return std::move(frame).value();
}

template <typename T>
std::string PayloadOf(const std::vector<T>& elements) {
  return std::string(reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T));
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_SHARD_GRADIENT_FRAMES_H_
