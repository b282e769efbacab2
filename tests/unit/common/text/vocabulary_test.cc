#include "common/text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace drover {
namespace {

using testing::HasSubstr;

constexpr char kText[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n";

TEST(VocabularyTest, RoundTripsVocabTxt) {
  const Result<Vocabulary> vocabulary = Vocabulary::FromText(kText);

  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().ToString();
  EXPECT_EQ(vocabulary.value().ToText(), kText);
  EXPECT_EQ(vocabulary.value().size(), 7u);
  EXPECT_EQ(vocabulary.value().Find("##b"), 6);
  EXPECT_EQ(vocabulary.value().Find("b"), -1);
  EXPECT_EQ(vocabulary.value().specials(), SpecialTokens());
}

TEST(VocabularyTest, FindsSpecialTokensWhereverTheyStand) {
  const Result<Vocabulary> vocabulary =
      Vocabulary::FromText("[PAD]\r\n[unused0]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na");

  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().ToString();
  EXPECT_EQ(vocabulary.value().specials(),
            (SpecialTokens{.pad = 0, .unk = 2, .cls = 3, .sep = 4, .mask = 5}));
}

TEST(VocabularyTest, HashIsThatOfTheFile) {
  // printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n' | xxh128sum
  EXPECT_EQ(Vocabulary::FromText(kText).value().Hash(), "daf67e338d56e24cf8eaad98a3ffc817");
}

TEST(VocabularyTest, RefusesBadFiles) {
  const auto refused = [](const std::string& text, const std::string& why) {
    const Status status = Vocabulary::FromText(text).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_THAT(status.message(), HasSubstr(why));
  };
  refused("", "no [PAD]");
  refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", "no [MASK]");
  refused("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", "nothing but special tokens");
  refused(std::string(kText) + "a\n", "line 8: \"a\" stands in line 6 too");
  refused(std::string(kText) + "\nc\n", "line 8: a token of 0 bytes");
  refused(std::string(kText) + std::string(1025, 'x'), "line 8: a token of 1025 bytes");
  refused(std::string(3 << 20, '\n'), "expected at most 1048576");
}

}  // namespace
}  // namespace drover
