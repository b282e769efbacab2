#include "server/cli/styled_line.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(StyledLineTest, WidthCountsNoEscapes) {
  StyledLine line;
  line.Add("ab", Tone::kGood).AddField("loss", "0.5");

  EXPECT_EQ(line.width(), 2U + 2 + 4 + 1 + 3);
  EXPECT_EQ(line.Render(80, false), "ab  loss 0.5");
  EXPECT_EQ(line.Render(80, true), "\x1b[32mab\x1b[0m  \x1b[2mloss \x1b[0m0.5");
}

TEST(StyledLineTest, IsCutAtTheWidthWhateverTheColours) {
  StyledLine line;
  line.Add("abcd", Tone::kBad).Add("efgh");

  EXPECT_EQ(line.Render(6, false), "abcdef");
  EXPECT_EQ(line.Render(2, true), "\x1b[31mab\x1b[0m");
}

TEST(StyledLineTest, AFieldIsShownWholeOrNotAtAll) {
  StyledLine line;
  line.Add("head").AddField("loss", "0.5").AddField("lr", "0.02").Add(" (old)");

  EXPECT_EQ(line.Render(29, false), "head  loss 0.5  lr 0.02 (old)");
  EXPECT_EQ(line.Render(28, false), "head  loss 0.5");
  EXPECT_EQ(line.Render(13, false), "head");
  EXPECT_EQ(line.Render(2, false), "he");
}

TEST(StyledLineTest, TextCannotMoveTheCursor) {
  EXPECT_EQ(StyledLine().Add("a\x1b[2Jb\n\xc3").Render(80, false), "a?[2Jb??");
}

TEST(FormatTableTest, AlignsColumns) {
  EXPECT_EQ(FormatTable({{"ID", "NAME"}, {"0001", "a"}, {"2", "long"}}, false),
            "ID    NAME\n"
            "0001  a\n"
            "2     long\n");
}

}  // namespace
}  // namespace drover
