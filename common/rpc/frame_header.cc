#include "common/rpc/frame_header.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "common/base/crc32c.h"

namespace drover {
namespace {

static_assert(std::endian::native == std::endian::little,
              "frames are copied as they lie in memory");

constexpr uint32_t kMagic = 0x46565244;  // "DRVF".
constexpr size_t kCrcOffset = 60;

// The bytes of frame_header.h.
struct Wire {
  uint32_t magic;
  uint8_t version;
  uint8_t type;
  uint8_t encoding;
  uint8_t verdict;
  uint64_t job;
  uint32_t epoch;
  uint32_t payload_bytes;
  uint64_t step;
  uint32_t block_begin;
  uint32_t block_count;
  uint32_t leaf_begin;
  uint32_t leaf_end;
  uint64_t layout_hash;
  uint32_t payload_crc;
  uint32_t header_crc;
};
static_assert(sizeof(Wire) == kFrameHeaderBytes && offsetof(Wire, header_crc) == kCrcOffset);

Status Malformed(std::string what) {
  return Status(Code::kInvalidArgument, "frame header: " + std::move(what));
}

// The checksum is right, so this is what the peer has meant to say.
Status Foreign(const std::string& what) {
  return Status(Code::kFailedPrecondition,
                "frame header: " + what + ": run the same release on both ends");
}

Status CheckFields(const Wire& wire) {
  if (wire.type < static_cast<uint8_t>(FrameType::kHello) ||
      wire.type > static_cast<uint8_t>(FrameType::kGone)) {
    return Foreign(fmt::format("type is {}, expected 1 to 8", wire.type));
  }
  if (wire.encoding > static_cast<uint8_t>(FrameEncoding::kBf16)) {
    return Foreign(fmt::format("encoding is {}, expected 0 to 3", wire.encoding));
  }
  if (wire.verdict >= kVerdictsEnd) {
    return Foreign(fmt::format("verdict is {}, expected less than {}", wire.verdict, kVerdictsEnd));
  }
  if (wire.payload_bytes > kFramePayloadBytesMax) {
    return Malformed(fmt::format("payload of {} bytes, at most {} are allowed", wire.payload_bytes,
                                 kFramePayloadBytesMax));
  }
  return Status();
}

}  // namespace

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNone:
      return "none";
    case Verdict::kStored:
      return "stored";
    case Verdict::kAdded:
      return "added";
    case Verdict::kDuplicate:
      return "duplicate";
    case Verdict::kEpoch:
      return "epoch";
    case Verdict::kStep:
      return "step";
    case Verdict::kLease:
      return "lease";
    case Verdict::kLayout:
      return "layout";
    case Verdict::kEncoding:
      return "encoding";
    case Verdict::kLength:
      return "length";
    case Verdict::kChecksum:
      return "checksum";
    case Verdict::kNonfinite:
      return "nonfinite";
    case Verdict::kRange:
      return "range";
    case Verdict::kOverlap:
      return "overlap";
  }
  return "unknown";
}

void EncodeFrameHeader(const FrameHeader& header, std::span<std::byte, kFrameHeaderBytes> out) {
  Wire wire = {
      .magic = kMagic,
      .version = kFrameVersion,
      .type = static_cast<uint8_t>(header.type),
      .encoding = static_cast<uint8_t>(header.encoding),
      .verdict = static_cast<uint8_t>(header.verdict),
      .job = header.job,
      .epoch = header.epoch,
      .payload_bytes = header.payload_bytes,
      .step = header.step,
      .block_begin = header.block_begin,
      .block_count = header.block_count,
      .leaf_begin = header.leaf_begin,
      .leaf_end = header.leaf_end,
      .layout_hash = header.layout_hash,
      .payload_crc = header.payload_crc,
      .header_crc = 0,
  };
  wire.header_crc = Crc32c(&wire, kCrcOffset);
  std::memcpy(out.data(), &wire, sizeof(wire));
}

Result<FrameHeader> DecodeFrameHeader(std::span<const std::byte> bytes) {
  if (bytes.size() < kFrameHeaderBytes) {
    return Malformed(
        fmt::format("only {} bytes came, expected {}", bytes.size(), kFrameHeaderBytes));
  }
  Wire wire;
  std::memcpy(&wire, bytes.data(), sizeof(wire));
  if (wire.magic != kMagic) {
    return Malformed(
        fmt::format("magic is {:#010x}, expected {:#010x}: the peer does not speak "
                    "this protocol",
                    wire.magic, kMagic));
  }
  // Before the checksum: another version may keep its checksum elsewhere.
  if (wire.version != kFrameVersion) {
    const std::string what = fmt::format("version is {}, expected {}", wire.version, kFrameVersion);
    const bool intact = wire.header_crc == Crc32c(&wire, kCrcOffset);
    return intact ? Foreign(what) : Malformed(what + ": of another release, or damaged");
  }
  const uint32_t crc = Crc32c(&wire, kCrcOffset);
  if (wire.header_crc != crc) {
    return Status(Code::kDataLoss, fmt::format("frame header: checksum is {:#010x}, expected "
                                               "{:#010x}: damaged on its way",
                                               wire.header_crc, crc));
  }
  DROVER_RETURN_IF_ERROR(CheckFields(wire));
  FrameHeader header;
  header.type = static_cast<FrameType>(wire.type);
  header.encoding = static_cast<FrameEncoding>(wire.encoding);
  header.verdict = static_cast<Verdict>(wire.verdict);
  header.job = wire.job;
  header.epoch = wire.epoch;
  header.payload_bytes = wire.payload_bytes;
  header.step = wire.step;
  header.block_begin = wire.block_begin;
  header.block_count = wire.block_count;
  header.leaf_begin = wire.leaf_begin;
  header.leaf_end = wire.leaf_end;
  header.layout_hash = wire.layout_hash;
  header.payload_crc = wire.payload_crc;
  return header;
}

void EncodeStepStats(const StepStats& stats, std::span<std::byte, kStepStatsBytes> out) {
  const int64_t numbers[6] = {stats.loss,         stats.correct,
                              stats.samples,      stats.tokens,
                              stats.squares.high, std::bit_cast<int64_t>(stats.squares.low)};
  std::memcpy(out.data(), numbers, sizeof(numbers));
}

StepStats DecodeStepStats(std::span<const std::byte, kStepStatsBytes> bytes) {
  int64_t numbers[6];
  std::memcpy(numbers, bytes.data(), sizeof(numbers));
  return {numbers[0],
          numbers[1],
          numbers[2],
          numbers[3],
          {numbers[4], std::bit_cast<uint64_t>(numbers[5])}};
}

}  // namespace drover
