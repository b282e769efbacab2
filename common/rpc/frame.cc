#include "common/rpc/frame.h"

#include <fmt/format.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/crc32c.h"

namespace drover {
namespace {

size_t BytesOf(std::span<const ByteSpan> payload) {
  size_t bytes = 0;
  for (const ByteSpan& span : payload) bytes += span.size();
  return bytes;
}

grpc::Slice HeaderSlice(FrameHeader header, size_t payload_bytes) {
  DROVER_CHECK(payload_bytes <= kFramePayloadBytesMax);
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  std::array<std::byte, kFrameHeaderBytes> bytes;
  EncodeFrameHeader(header, bytes);
  return grpc::Slice(bytes.data(), bytes.size());
}

void ReleaseOwner(void* owner) { delete static_cast<std::shared_ptr<const void>*>(owner); }

// Moves up to `wanted` bytes from the front of `spans` to `out`; returns how many there were.
size_t TakeFront(std::vector<ByteSpan>* spans, std::byte* out, size_t wanted) {
  size_t taken = 0;
  size_t used = 0;
  while (taken < wanted && used < spans->size()) {
    ByteSpan& span = (*spans)[used];
    const size_t part = std::min(span.size(), wanted - taken);
    std::memcpy(out + taken, span.data(), part);
    taken += part;
    span = span.subspan(part);
    if (span.empty()) ++used;
  }
  spans->erase(spans->begin(), spans->begin() + static_cast<ptrdiff_t>(used));
  return taken;
}

}  // namespace

uint32_t PayloadCrc(std::span<const ByteSpan> payload) {
  uint32_t crc = 0;
  for (const ByteSpan& span : payload) crc = Crc32c(span.data(), span.size(), crc);
  return crc;
}

grpc::ByteBuffer MakeStaticFrame(FrameHeader header, std::span<const ByteSpan> payload) {
  std::vector<grpc::Slice> slices;
  slices.reserve(payload.size() + 1);
  slices.push_back(HeaderSlice(header, BytesOf(payload)));
  for (const ByteSpan& span : payload) {
    slices.emplace_back(span.data(), span.size(), grpc::Slice::STATIC_SLICE);
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer MakeOwnedFrame(FrameHeader header, std::span<const ByteSpan> payload,
                                std::shared_ptr<const void> owner) {
  std::vector<grpc::Slice> slices;
  slices.reserve(payload.size() + 1);
  slices.push_back(HeaderSlice(header, BytesOf(payload)));
  for (const ByteSpan& span : payload) {
    // gRPC only reads; its C interface does not say const. One holder per slice, freed by gRPC.
    auto holder = std::make_unique<std::shared_ptr<const void>>(owner);
    slices.emplace_back(const_cast<std::byte*>(span.data()), span.size(), &ReleaseOwner,
                        holder.release());
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer MakeSmallFrame(FrameHeader header, ByteSpan payload) {
  header.payload_crc = Crc32c(payload.data(), payload.size());
  std::vector<grpc::Slice> slices;
  slices.push_back(HeaderSlice(header, payload.size()));
  if (!payload.empty()) slices.emplace_back(payload.data(), payload.size());
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string ReceivedFrame::PayloadText() const {
  std::string text;
  for (const ByteSpan& span : payload_) {
    text.append(reinterpret_cast<const char*>(span.data()), span.size());
  }
  return text;
}

bool ReceivedFrame::CopyPayload(std::span<std::byte> out) const {
  // Small enough to be copied from the first-level cache, where the checksum left it.
  constexpr size_t kPieceBytes = 16 << 10;
  DROVER_CHECK(out.size() == header_.payload_bytes);
  uint32_t crc = 0;
  for (ByteSpan span : payload_) {
    while (!span.empty()) {
      const ByteSpan piece = span.first(std::min(span.size(), kPieceBytes));
      crc = Crc32c(piece.data(), piece.size(), crc);
      std::memcpy(out.data(), piece.data(), piece.size());
      out = out.subspan(piece.size());
      span = span.subspan(piece.size());
    }
  }
  return crc == header_.payload_crc;
}

Result<ReceivedFrame> ParseFrame(const grpc::ByteBuffer& message) {
  ReceivedFrame frame;
  if (!message.Valid() || !message.Dump(&frame.slices_).ok()) {
    return Status(Code::kInvalidArgument, "frame: the message is empty or compressed");
  }
  // Only now do the slices lie where they stay: small ones hold their bytes within themselves.
  for (const grpc::Slice& slice : frame.slices_) {
    if (slice.size() == 0) continue;
    frame.payload_.emplace_back(reinterpret_cast<const std::byte*>(slice.begin()), slice.size());
  }
  std::array<std::byte, kFrameHeaderBytes> bytes;
  const size_t header_bytes = TakeFront(&frame.payload_, bytes.data(), bytes.size());
  Result<FrameHeader> header = DecodeFrameHeader(std::span(bytes).first(header_bytes));
  if (!header.ok()) return header.status();
  const size_t payload_bytes = BytesOf(frame.payload_);
  if (payload_bytes != header.value().payload_bytes) {
    return Status(Code::kInvalidArgument,
                  fmt::format("frame: {} bytes of payload came, its header says {}", payload_bytes,
                              header.value().payload_bytes));
  }
  frame.header_ = header.value();
  return frame;
}

}  // namespace drover
