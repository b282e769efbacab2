#include "common/tls/job_token.h"

#include <gtest/gtest.h>

#include <string>

namespace drover {
namespace {

std::string Key(char first = 0) {
  std::string key;
  for (size_t i = 0; i < kJobKeyBytes; ++i) key.push_back(static_cast<char>(first + i));
  return key;
}

JobClaims Claims() { return {0x0123456789abcdef, 7, kVerbPush | kVerbPull, 1700000000, "w-1"}; }

TEST(JobTokenTest, HasTheBytesOfItsDescription) {
  // Python: body = struct.pack('<BBBBIQQ', 1, 3, 3, 0, 7, 0x0123456789abcdef, 1700000000) + b'w-1'
  //         (body + hmac.new(bytes(range(32)), body, hashlib.sha256).digest()).hex()
  const std::string expected =
      "0103030007000000efcdab896745230100f1536500000000772d31"
      "87b38038e11228fccf6bcdd20a4bc9f0b3e538ad33b2b543a0af5bf434ea62f8";
  std::string hex;
  for (const char byte : SealJobToken(Key(), Claims())) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned char>(byte) >> 4];
    hex += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  EXPECT_EQ(hex, expected);
}

TEST(JobTokenTest, IsOpenedByItsKeyOnly) {
  const std::string token = SealJobToken(Key(), Claims());
  ASSERT_TRUE(OpenJobToken(Key(), token).ok());
  EXPECT_EQ(OpenJobToken(Key(), token).value(), Claims());
  EXPECT_EQ(PeekJobToken(token).value(), Claims());
  EXPECT_EQ(OpenJobToken(Key(1), token).status().code(), Code::kUnauthenticated);
}

TEST(JobTokenTest, EveryBitCounts) {
  const std::string token = SealJobToken(Key(), Claims());
  for (size_t bit = 0; bit < 8 * token.size(); ++bit) {
    std::string flipped = token;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(OpenJobToken(Key(), flipped).status().code(), Code::kUnauthenticated) << bit;
  }
}

TEST(JobTokenTest, AnyOtherLengthIsRefused) {
  const std::string token = SealJobToken(Key(), Claims());
  for (size_t size = 0; size < token.size(); ++size) {
    EXPECT_FALSE(OpenJobToken(Key(), token.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(OpenJobToken(Key(), token + '\0').ok());
  EXPECT_FALSE(OpenJobToken(Key(), token + token).ok());
  EXPECT_FALSE(OpenJobToken(Key(), std::string(1 << 20, '\1')).ok());
}

// Whoever has the key could still not ask for another algorithm.
TEST(JobTokenTest, NoOtherAlgorithmIsEvenTried) {
  std::string token = SealJobToken(Key(), Claims());
  for (int algorithm = 0; algorithm < 256; ++algorithm) {
    token[0] = static_cast<char>(algorithm);
    EXPECT_EQ(PeekJobToken(token).ok(), algorithm == 1) << algorithm;
  }
}

TEST(JobTokenTest, KeysAreOfTheirLengthAndNeverTheSame) {
  const std::string key = NewJobKey().value();
  EXPECT_EQ(key.size(), kJobKeyBytes);
  EXPECT_NE(key, NewJobKey().value());
}

}  // namespace
}  // namespace drover
