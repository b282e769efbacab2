// Expected vocabularies by hand from the algorithm (Sennrich et al., arXiv:1508.07909, algorithm
// 1).

#include "common/text/word_piece_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/text/pre_tokenizer.h"

namespace drover {
namespace {

using testing::HasSubstr;

const std::string kSpecials = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

Result<Vocabulary> Train(const std::vector<std::string>& lines, size_t size) {
  WordPieceTrainer trainer;
  for (const std::string& line : lines) EXPECT_TRUE(trainer.AddLine(line, true).ok());
  return trainer.Train(size);
}

// hug x10, pug x5, pun x12, bun x4, hugs x5: the example of Hugging Face's course, whose BPE merges
// are (u g) 20, (u n) 16, (h ug) 15, then (p un) 12; (p ug) 5 and (hug s) 5 tie: lower ids first.
std::vector<std::string> Course() {
  std::vector<std::string> lines;
  const auto add = [&lines](const std::string& word, int times) {
    for (int i = 0; i < times; ++i) lines.push_back(word);
  };
  add("hug", 10);
  add("pug", 5);
  add("pun", 12);
  add("bun", 4);
  add("hugs", 5);
  return lines;
}

TEST(WordPieceTrainerTest, JoinsTheMostFrequentPairFirst) {
  const std::string characters = "b\ng\nh\nn\np\ns\nu\n##g\n##n\n##s\n##u\n";

  const Result<Vocabulary> vocabulary = Train(Course(), 22);

  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().ToString();
  // Ids: h 7, p 9, ##s 14, then ##ug 16, ##un 17, hug 18. Of the pairs that occur five times,
  // (p ##ug) is (9, 16) and (hug ##s) is (18, 14).
  EXPECT_EQ(vocabulary.value().ToText(),
            kSpecials + characters + "##ug\n##un\nhug\npun\npug\nhugs\n");
}

TEST(WordPieceTrainerTest, StopsAtTheSizeAndWhereNoPairIsFrequent) {
  EXPECT_EQ(Train(Course(), 18).value().size(), 18u);
  // All words whole: pug, bun, hugs too. A pair that occurs once is not joined.
  EXPECT_EQ(Train(Course(), 1000).value().size(), 23u);
  EXPECT_EQ(Train({"xy"}, 1000).value().ToText(), kSpecials + "x\ny\n##y\n");
}

TEST(WordPieceTrainerTest, RepeatedPiecesAreJoinedFromTheLeft) {
  // aaaaa = a ##a ##a ##a ##a: (##a ##a) 3 x 2 = 6 beats (a ##a) 2, then a ##aa ##aa: (a ##aa) and
  // (##aa ##aa), 2 each; a has the lower id.
  EXPECT_EQ(Train({"aaaaa", "aaaaa"}, 10).value().ToText(),
            kSpecials + "a\n##a\n##aa\naaa\naaaaa\n");
}

TEST(WordPieceTrainerTest, TheOrderOfTheTextChangesNoByte) {
  std::vector<std::string> lines = Course();
  const std::string text = Train(lines, 20).value().ToText();
  std::reverse(lines.begin(), lines.end());
  EXPECT_EQ(Train(lines, 20).value().ToText(), text);
}

TEST(WordPieceTrainerTest, OnlyTheMostFrequentCharactersAreKept) {
  std::string line;
  for (int i = 0; i < 1200; ++i) {  // U+4E00 onwards, each twice, but the first 200 once.
    const int c = 0x4E00 + i;
    const std::string character = {static_cast<char>(0xE0 | (c >> 12)),
                                   static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
                                   static_cast<char>(0x80 | (c & 0x3F))};
    line += i < 200 ? character : character + character;
  }
  const Result<Vocabulary> vocabulary = Train({line}, 5000);
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary.value().size(), 5 + kAlphabetSizeMax);
  EXPECT_EQ(vocabulary.value().Find("\xE4\xB8\x80"), -1);
}

TEST(WordPieceTrainerTest, RefusesNoWordsAndImpossibleSizes) {
  EXPECT_THAT(Train({"", " "}, 100).status().message(), HasSubstr("no word"));
  EXPECT_THAT(Train({std::string(101, 'a')}, 100).status().message(), HasSubstr("no word"));
  EXPECT_THAT(Train(Course(), 15).status().message(),
              HasSubstr("15 tokens was asked for, expected 16"));
  EXPECT_FALSE(Train(Course(), kVocabularySizeMax + 1).ok());
  WordPieceTrainer trainer;
  EXPECT_EQ(trainer.AddLine("\xFF", true).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace drover
