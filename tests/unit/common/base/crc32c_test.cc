#include "common/base/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace drover {
namespace {

using Bytes = std::vector<uint8_t>;

uint32_t Crc32cOf(const Bytes& bytes) { return Crc32c(bytes.data(), bytes.size()); }

// The definition, bit by bit: reflected polynomial 0x1edc6f41, both ends inverted.
uint32_t SlowCrc32c(const Bytes& bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

// All five known answers are from RFC 3720, section B.4.
TEST(Crc32cTest, ThirtyTwoZeros) { EXPECT_EQ(Crc32cOf(Bytes(32, 0x00)), 0x8a9136aau); }

TEST(Crc32cTest, ThirtyTwoOnes) { EXPECT_EQ(Crc32cOf(Bytes(32, 0xff)), 0x62a8ab43u); }

TEST(Crc32cTest, ThirtyTwoIncrementingBytes) {
  Bytes bytes(32);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});

  EXPECT_EQ(Crc32cOf(bytes), 0x46dd794eu);
}

TEST(Crc32cTest, ThirtyTwoDecrementingBytes) {
  Bytes bytes(32);
  std::iota(bytes.rbegin(), bytes.rend(), uint8_t{0});

  EXPECT_EQ(Crc32cOf(bytes), 0x113fdb5cu);
}

TEST(Crc32cTest, ScsiReadCommand) {
  const Bytes pdu = {0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                     0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
                     0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
                     0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

  EXPECT_EQ(Crc32cOf(pdu), 0xd9963a56u);
}

TEST(Crc32cTest, EqualsTheBitwiseDefinitionAtEveryLengthAndAlignment) {
  Bytes bytes(300);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i * 31 + 7 * i);

  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t end = begin; end < bytes.size(); ++end) {
      const Bytes piece(bytes.begin() + static_cast<long>(begin),
                        bytes.begin() + static_cast<long>(end));
      ASSERT_EQ(Crc32c(bytes.data() + begin, end - begin), SlowCrc32c(piece))
          << begin << " to " << end;
    }
  }
}

TEST(Crc32cTest, ContinuesWhereAnotherPieceEnded) {
  Bytes bytes(100);
  std::iota(bytes.begin(), bytes.end(), uint8_t{3});

  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    const uint32_t head = Crc32c(bytes.data(), cut);
    ASSERT_EQ(Crc32c(bytes.data() + cut, bytes.size() - cut, head), Crc32cOf(bytes)) << cut;
  }
}

TEST(Crc32cTest, NothingHasChecksumZero) { EXPECT_EQ(Crc32c(nullptr, 0), 0u); }

}  // namespace
}  // namespace drover
