#include "common/base/digest.h"

#include <gtest/gtest.h>

#include <string>

namespace drover {
namespace {

std::string HexSha256(const std::string& message) {
  Sha256 digest;
  digest.Update(message.data(), message.size());
  return digest.HexDigest();
}

// Messages and digests of the examples that NIST publishes for FIPS 180-4 (SHA256.pdf and
// SHA2_Additional.pdf).
TEST(Sha256Test, OfNothing) {
  EXPECT_EQ(HexSha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256Test, OfOneBlock) {
  EXPECT_EQ(HexSha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256Test, OfTwoBlocks) {
  EXPECT_EQ(HexSha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256Test, OfAMillionLettersInPieces) {
  Sha256 digest;
  const std::string piece(1000, 'a');

  for (int i = 0; i < 1000; ++i) digest.Update(piece.data(), piece.size());

  EXPECT_EQ(digest.HexDigest(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// By: printf abc | openssl dgst -sha256 -binary | base64
TEST(Sha256Test, InBase64) {
  Sha256 digest;
  digest.Update("abc", 3);

  EXPECT_EQ(digest.Base64Digest(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

}  // namespace
}  // namespace drover
