// Expected words follow from google-research/bert, tokenization.py, by hand; more of them, from
// another program, are compared in word_piece_test.cc.

#include "common/text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace drover {
namespace {

using testing::HasSubstr;

using Words = std::vector<std::string>;

Words Split(std::string_view line, bool lowercase = true) {
  const Result<Words> words = SplitWords(line, lowercase);
  EXPECT_TRUE(words.ok()) << words.status().ToString();
  return words.ok() ? words.value() : Words();
}

TEST(PreTokenizerTest, EachPunctuationCharacterIsAWord) {
  EXPECT_EQ(Split("Speak, speak."), (Words{"speak", ",", "speak", "."}));
  EXPECT_EQ(Split("We know't..."), (Words{"we", "know", "'", "t", ".", ".", "."}));
  EXPECT_EQ(Split("a$b^c`d_e"), (Words{"a", "$", "b", "^", "c", "`", "d", "_", "e"}));
  EXPECT_EQ(Split("\xC2\xABso\xC2\xBB\xE2\x80\x94no"),
            (Words{"\xC2\xAB", "so", "\xC2\xBB", "\xE2\x80\x94", "no"}));
}

TEST(PreTokenizerTest, SpecialTokensInTheTextAreText) {
  EXPECT_EQ(Split("[MASK]"), (Words{"[", "mask", "]"}));
}

TEST(PreTokenizerTest, LowerCasingStripsAccents) {
  EXPECT_EQ(Split("\xC3\x89t\xC3\xA9 \xC3\x85ngstr\xC3\xB6m"), (Words{"ete", "angstrom"}));
  EXPECT_EQ(Split("e\xCC\x81"), (Words{"e"}));               // Combining accent.
  EXPECT_EQ(Split("\xC4\xB0stanbul"), (Words{"istanbul"}));  // I with a dot above.
  EXPECT_EQ(Split("\xCE\xA3\xCE\x9F\xCE\xA3"), (Words{"\xCF\x83\xCE\xBF\xCF\x83"}));
}

TEST(PreTokenizerTest, WithoutLowerCasingAccentsStay) {
  EXPECT_EQ(Split("\xC3\x89t\xC3\xA9, E", false), (Words{"\xC3\x89t\xC3\xA9", ",", "E"}));
}

TEST(PreTokenizerTest, AllKindsOfSpaceSeparateAndControlsGo) {
  EXPECT_EQ(Split("a\tb\r\nc\xC2\xA0"
                  "d\xE3\x80\x80"
                  "e\xE2\x80\xA8"
                  "f"),
            (Words{"a", "b", "c", "d", "e", "f"}));
  // NUL, bell, zero-width space (Cf), soft hyphen (Cf), U+FFFD, private use.
  EXPECT_EQ(Split(std::string_view("a\0b\ac\xE2\x80\x8B"
                                   "d\xC2\xAD"
                                   "e\xEF\xBF\xBD"
                                   "f\xEE\x80\x80",
                                   19)),
            (Words{"abcdef"}));
}

TEST(PreTokenizerTest, EachIdeographIsAWord) {
  EXPECT_EQ(Split("ab\xE4\xB8\xAD\xE6\x96\x87"
                  "c\xF0\xA0\x80\x80"),
            (Words{"ab", "\xE4\xB8\xAD", "\xE6\x96\x87", "c", "\xF0\xA0\x80\x80"}));
  EXPECT_EQ(Split("\xE3\x81\x8B\xE3\x81\x84"),
            (Words{"\xE3\x81\x8B\xE3\x81\x84"}));  // Kana do not.
}

TEST(PreTokenizerTest, NothingGivesNothing) {
  EXPECT_EQ(Split(""), Words());
  EXPECT_EQ(Split(" \t\a"), Words());
}

TEST(PreTokenizerTest, RefusesWhatIsNotUtf8) {
  const std::vector<std::string> bad = {
      "abc\xFF",              // No lead byte.
      "abc\xC0\x80",          // Overlong.
      "abc\xED\xA0\x80",      // A surrogate.
      "abc\xF4\x90\x80\x80",  // Above U+10FFFF.
      "abc\xE2\x82",          // Cut off.
      "abc\x80",
  };
  for (const std::string& line : bad) {
    const Status status = SplitWords(line, true).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("byte 4 of the line"));
  }
}

TEST(PreTokenizerTest, RefusesHugeLines) {
  EXPECT_TRUE(SplitWords(std::string(kLineBytesMax, 'a'), true).ok());
  const Status status = SplitWords(std::string(kLineBytesMax + 1, 'a'), true).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("expected at most 1048576"));
}

TEST(PreTokenizerTest, DecomposesTheLongestLine) {
  std::string line;  // U+1F82, which becomes four characters, three of them accents.
  while (line.size() + 3 <= kLineBytesMax) line += "\xE1\xBE\x82";
  const Words words = Split(line);
  ASSERT_EQ(words.size(), 1u);
  EXPECT_EQ(words[0].size(), line.size() / 3 * 2);  // One alpha of two bytes each.
}

TEST(CharacterStartsTest, GivesEachCharacterAndTheEnd) {
  EXPECT_EQ(CharacterStarts("a\xC3\xA9\xF0\xA0\x80\x80z"), (std::vector<size_t>{0, 1, 3, 7, 8}));
  EXPECT_EQ(CharacterStarts(""), std::vector<size_t>{0});
}

}  // namespace
}  // namespace drover
