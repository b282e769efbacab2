#include "common/base/quote.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(QuoteTest, PlainTextStandsInQuotes) { EXPECT_EQ(Quote("a/b c"), "\"a/b c\""); }

TEST(QuoteTest, NothingIsTwoQuotes) { EXPECT_EQ(Quote(""), "\"\""); }

TEST(QuoteTest, BytesThatCouldForgeALineAreSpelledOut) {
  EXPECT_EQ(Quote(std::string_view("a\n\0\x1b\xff", 5)), R"("a\x0a\x00\x1b\xff")");
  EXPECT_EQ(Quote("\"\\"), R"("\"\\")");
}

TEST(QuoteTest, LongTextIsCutVisibly) {
  EXPECT_EQ(Quote("abcdef", /*bytes_max=*/6), "\"abcdef\"");
  EXPECT_EQ(Quote("abcdefg", /*bytes_max=*/6), "\"abcdef\"...");
}

}  // namespace
}  // namespace drover
