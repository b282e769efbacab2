#include "common/rpc/frame_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <string>

#include "common/base/crc32c.h"

namespace drover {
namespace {

using testing::HasSubstr;
using Bytes = std::array<std::byte, kFrameHeaderBytes>;

FrameHeader Example() {
  FrameHeader header;
  header.type = FrameType::kGradient;
  header.encoding = FrameEncoding::kF32;
  header.job = 7;
  header.epoch = 2;
  header.payload_bytes = 4;
  header.step = 9;
  header.block_begin = 16;
  header.block_count = 2;
  header.leaf_begin = 3;
  header.leaf_end = 4;
  header.layout_hash = 0x1122334455667788;
  const float payload = 1.0f;
  header.payload_crc = Crc32c(&payload, sizeof(payload));
  return header;
}

Bytes Encode(const FrameHeader& header) {
  Bytes bytes;
  EncodeFrameHeader(header, bytes);
  return bytes;
}

// Writes a field and makes the checksum right again.
template <typename T>
Bytes WithField(size_t offset, T value) {
  Bytes bytes = Encode(Example());
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
  const uint32_t crc = Crc32c(bytes.data(), 60);
  std::memcpy(bytes.data() + 60, &crc, sizeof(crc));
  return bytes;
}

void ExpectRefused(const Bytes& bytes, Code code, const std::string& message) {
  const Result<FrameHeader> header = DecodeFrameHeader(bytes);
  ASSERT_FALSE(header.ok());
  EXPECT_EQ(header.status().code(), code);
  EXPECT_THAT(header.status().message(), HasSubstr(message));
}

// The example of frame_header.h, written by this Python 3 program (bitwise CRC, polynomial of RFC
// 3720):
//   def crc32c(b):
//     c = 0xffffffff
//     for x in b:
//       c ^= x
//       for _ in range(8): c = (c >> 1) ^ (0x82F63B78 if c & 1 else 0)
//     return c ^ 0xffffffff
//   p = crc32c(struct.pack('<f', 1.0))
//   h = struct.pack('<4sBBBBQIIQIIIIQI', b'DRVF', 1, 2, 1, 0, 7, 2, 4, 9, 16, 2, 3, 4,
//                   0x1122334455667788, p)
//   print((h + struct.pack('<I', crc32c(h))).hex())
TEST(FrameHeaderTest, GoldenBytes) {
  const unsigned char golden[kFrameHeaderBytes] = {
      0x44, 0x52, 0x56, 0x46, 0x01, 0x02, 0x01, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00,
      0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x09, 0x00,
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00,
      0x00, 0x03, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55,
      0x44, 0x33, 0x22, 0x11, 0xab, 0xc4, 0x54, 0xdd, 0xd7, 0xbb, 0xf4, 0xc7};

  const Bytes bytes = Encode(Example());

  EXPECT_EQ(std::memcmp(bytes.data(), golden, sizeof(golden)), 0);
}

TEST(FrameHeaderTest, DecodesWhatItEncoded) {
  const Result<FrameHeader> decoded = DecodeFrameHeader(Encode(Example()));

  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(decoded.value(), Example());
  EXPECT_EQ(decoded.value().blocks(), (BlockRange{16, 18}));
  EXPECT_EQ(decoded.value().leaves(), (LeafRange{3, 4}));
}

TEST(FrameHeaderTest, RefusesEveryTruncation) {
  const Bytes bytes = Encode(Example());
  for (size_t size = 0; size < kFrameHeaderBytes; ++size) {
    const Result<FrameHeader> header = DecodeFrameHeader(std::span(bytes).first(size));
    ASSERT_FALSE(header.ok());
    EXPECT_EQ(header.status().code(), Code::kInvalidArgument);
  }
}

TEST(FrameHeaderTest, DetectsEveryFlippedBit) {
  for (size_t bit = 0; bit < kFrameHeaderBytes * 8; ++bit) {
    Bytes bytes = Encode(Example());
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(DecodeFrameHeader(bytes).ok()) << "bit " << bit;
  }
}

TEST(FrameHeaderTest, NamesWhatIsWrong) {
  ExpectRefused(WithField<uint32_t>(0, 0x20544547), Code::kInvalidArgument, "magic");
  ExpectRefused(WithField<uint8_t>(4, 2), Code::kFailedPrecondition, "version is 2, expected 1");
  ExpectRefused(WithField<uint8_t>(5, 0), Code::kFailedPrecondition, "type is 0");
  ExpectRefused(WithField<uint8_t>(5, 9), Code::kFailedPrecondition, "type is 9");
  ExpectRefused(WithField<uint8_t>(6, 4), Code::kFailedPrecondition, "encoding is 4");
  ExpectRefused(WithField<uint8_t>(7, 26), Code::kFailedPrecondition, "verdict is 26");
  ExpectRefused(WithField<uint32_t>(20, kFramePayloadBytesMax + 1), Code::kInvalidArgument,
                "payload of 8454145 bytes, at most 8454144");
  Bytes damaged = Encode(Example());
  damaged[30] = std::byte{1};
  ExpectRefused(damaged, Code::kDataLoss, "checksum");
}

TEST(FrameHeaderTest, AcceptsTheLargestPayload) {
  EXPECT_TRUE(DecodeFrameHeader(WithField<uint32_t>(20, kFramePayloadBytesMax)).ok());
}

TEST(FrameHeaderTest, RandomBytesNeverPass) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    Bytes bytes = i % 2 == 0 ? Bytes{} : Encode(Example());
    for (size_t k = 0; k < 8; ++k) bytes[random() % bytes.size()] = std::byte(random());
    const Result<FrameHeader> header = DecodeFrameHeader(bytes);
    if (header.ok()) {
      EXPECT_EQ(Encode(header.value()), bytes);
    }
  }
}

TEST(VerdictTest, EachHasItsName) {
  EXPECT_STREQ(VerdictName(Verdict::kStored), "stored");
  EXPECT_STREQ(VerdictName(Verdict::kOverlap), "overlap");
  EXPECT_STREQ(VerdictName(static_cast<Verdict>(200)), "unknown");
  EXPECT_FALSE(IsRefusal(Verdict::kDuplicate));
  EXPECT_TRUE(IsRefusal(Verdict::kEpoch));
}

TEST(StepStatsTest, SixLittleEndianNumbers) {
  const StepStats stats = {-1, 2, 256, int64_t{1} << 40, {3, uint64_t{1} << 63}};
  std::array<std::byte, kStepStatsBytes> bytes;

  EncodeStepStats(stats, bytes);

  EXPECT_EQ(bytes[0], std::byte{0xff});
  EXPECT_EQ(bytes[8], std::byte{2});
  EXPECT_EQ(bytes[17], std::byte{1});
  EXPECT_EQ(bytes[29], std::byte{1});
  EXPECT_EQ(DecodeStepStats(bytes), stats);
}

}  // namespace
}  // namespace drover
