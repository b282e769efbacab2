#include "common/base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace drover {
namespace {

// Hashes of nothing: XXH_SANITY tests of xxHash 0.8, cli/xsum_sanity_check.c.
TEST(HashTest, Xxh3OfNothing) {
  EXPECT_EQ(Hash64("", 0), 0x2d06800538d394c2u);
  EXPECT_EQ(Hash128().HexDigest(), "99aa06d3014798d86001c324468d497f");
}

TEST(HashTest, StreamDoesNotDependOnItsPieces) {
  const std::string text(1000, 'x');
  Hash128 whole;
  Hash128 pieces;

  whole.Update(text.data(), text.size());
  for (size_t i = 0; i < text.size(); i += 125) pieces.Update(text.data() + i, 125);

  EXPECT_EQ(whole.HexDigest(), pieces.HexDigest());
  EXPECT_NE(whole.HexDigest(), Hash128().HexDigest());
}

}  // namespace
}  // namespace drover
