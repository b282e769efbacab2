#include "common/config/suggestion.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(EditDistanceTest, CountsEditsAndSwaps) {
  // Levenshtein's own examples, and one swap.
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3U);
  EXPECT_EQ(EditDistance("saturday", "sunday"), 3U);
  EXPECT_EQ(EditDistance("", "abc"), 3U);
  EXPECT_EQ(EditDistance("abc", "abc"), 0U);
  EXPECT_EQ(EditDistance("bacth", "batch"), 1U);
}

TEST(SuggestTest, NamesTheNearestWordWithinTwoEdits) {
  EXPECT_EQ(Suggest("bacth", {"beta", "batch", "bath"}), "; did you mean \"batch\"?");
  EXPECT_EQ(Suggest("xyzzy", {"beta", "batch"}), "; expected one of beta, batch");
  EXPECT_EQ(Suggest("xyzzy", {"beta"}), "; expected beta");
}

TEST(SuggestTest, IsSilentWhenTheListIsLongOrEmpty) {
  EXPECT_EQ(Suggest("xyzzy", {}), "");
  EXPECT_EQ(Suggest("xyzzy", std::vector<std::string>(13, "batch")), "");
}

TEST(SuggestTest, DoesNotReplaceAShortWordAltogether) {
  EXPECT_EQ(Suggest("xy", {"lr"}), "; expected lr");
}

}  // namespace
}  // namespace drover
