// A frame on gRPC: the header of frame_header.h and payload slices in one grpc::ByteBuffer, without
// a copy of the payload on either side. Does not look into payloads but for their checksum.
// Thread-safe: values and functions.

#ifndef DROVER_COMMON_RPC_FRAME_H_
#define DROVER_COMMON_RPC_FRAME_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/frame_header.h"

namespace drover {

using ByteSpan = std::span<const std::byte>;

inline ByteSpan AsBytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// CRC-32C over all spans in order; 0 when there is no byte.
uint32_t PayloadCrc(std::span<const ByteSpan> payload);

// Both fill in payload_bytes; payload_crc is the caller's, who may have computed it while filling
// the buffer (see PayloadCrc). The frame refers to the payload's memory:
// Static: it must stay unchanged until the peer has answered or the stream has ended, not only
// until Write returns.
grpc::ByteBuffer MakeStaticFrame(FrameHeader header, std::span<const ByteSpan> payload);
// Owned: `owner` is held until gRPC has let go of the last byte, on any thread.
grpc::ByteBuffer MakeOwnedFrame(FrameHeader header, std::span<const ByteSpan> payload,
                                std::shared_ptr<const void> owner);
// Copies the payload and computes its checksum; for hello, culprits, stats and acknowledgements.
grpc::ByteBuffer MakeSmallFrame(FrameHeader header, ByteSpan payload = {});

// A message from a peer. The payload's spans point into the slices that this object keeps alive,
// cut and aligned as the network brought them.
class ReceivedFrame {
 public:
  ReceivedFrame(ReceivedFrame&&) = default;
  ReceivedFrame& operator=(ReceivedFrame&&) = default;
  ReceivedFrame(const ReceivedFrame&) = delete;
  ReceivedFrame& operator=(const ReceivedFrame&) = delete;

  const FrameHeader& header() const { return header_; }
  // header().payload_bytes in all; no empty spans.
  std::span<const ByteSpan> payload() const { return payload_; }
  bool PayloadCrcMatches() const { return PayloadCrc(payload_) == header_.payload_crc; }
  // A copy; for small payloads.
  std::string PayloadText() const;
  // Copies the payload to `out`, which has its length, and computes its checksum in the same pass.
  // False when it does not match: then what is in `out` is not to be used.
  bool CopyPayload(std::span<std::byte> out) const;

 private:
  friend Result<ReceivedFrame> ParseFrame(const grpc::ByteBuffer& message);
  ReceivedFrame() = default;

  FrameHeader header_;
  std::vector<grpc::Slice> slices_;
  std::vector<ByteSpan> payload_;
};

// Checks the header and that the message is exactly as long as it says, before anything else. The
// payload's checksum is left to whoever reads the payload. Any message is safe.
Result<ReceivedFrame> ParseFrame(const grpc::ByteBuffer& message);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_FRAME_H_
