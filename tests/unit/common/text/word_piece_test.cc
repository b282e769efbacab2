#include "common/text/word_piece.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace drover {
namespace {

// The vocabulary and the first two cases of google-research/bert, tokenization_test.py.
Vocabulary BertVocabulary() {
  return Vocabulary::FromTokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "want", "##want",
                                 "##ed", "wa", "un", "runn", "##ing"})
      .value();
}

std::vector<std::string> Encode(std::string_view line) {
  const Vocabulary vocabulary = BertVocabulary();
  const Result<std::vector<int32_t>> ids = EncodeLine(vocabulary, line, true);
  EXPECT_TRUE(ids.ok()) << ids.status().ToString();
  std::vector<std::string> tokens;
  for (const int32_t id : ids.value()) tokens.push_back(vocabulary.token(static_cast<size_t>(id)));
  return tokens;
}

using Tokens = std::vector<std::string>;

TEST(WordPieceTest, TakesTheLongestMatchFirst) {
  EXPECT_EQ(Encode("unwanted running"), (Tokens{"un", "##want", "##ed", "runn", "##ing"}));
}

TEST(WordPieceTest, AWordThatIsNotUsedUpIsUnknownAsAWhole) {
  EXPECT_EQ(Encode("unwantedX running"), (Tokens{"[UNK]", "runn", "##ing"}));
  EXPECT_EQ(Encode("want , wa"), (Tokens{"want", "[UNK]", "wa"}));
  EXPECT_EQ(Encode(""), Tokens());
}

TEST(WordPieceTest, AWordOfMoreThan100CharactersIsUnknown) {
  const Vocabulary vocabulary = Vocabulary::FromTokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]",
                                                        "[MASK]", "\xC3\xA9", "##\xC3\xA9"})
                                    .value();
  std::string word;
  for (int i = 0; i < 100; ++i) word += "\xC3\xA9";
  std::vector<int32_t> ids;
  EncodeWord(vocabulary, word, &ids);
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(ids.front(), 5);
  EXPECT_EQ(ids.back(), 6);

  ids.clear();
  EncodeWord(vocabulary, word + "\xC3\xA9", &ids);
  EXPECT_EQ(ids, std::vector<int32_t>{1});
}

TEST(WordPieceTest, PassesOnWhatIsNotUtf8) {
  EXPECT_EQ(EncodeLine(BertVocabulary(), "a\xFF", true).status().code(), Code::kInvalidArgument);
}

// Ids of Hugging Face's "tokenizers", made by tests/golden/word_piece.py.
TEST(WordPieceTest, AgreesWithAnotherProgram) {
  std::ifstream file(DROVER_GOLDEN_DIR "/word_piece.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const Vocabulary vocabulary =
      Vocabulary::FromTokens(golden["vocabulary"].get<std::vector<std::string>>()).value();
  ASSERT_GE(golden["cases"].size(), 20u);
  for (const nlohmann::json& one : golden["cases"]) {
    const std::string text = one["text"];
    const Result<std::vector<int32_t>> ids =
        EncodeLine(vocabulary, text, one["lowercase"].get<bool>());
    ASSERT_TRUE(ids.ok()) << text << ": " << ids.status().ToString();
    EXPECT_EQ(ids.value(), one["ids"].get<std::vector<int32_t>>()) << text;
  }
}

}  // namespace
}  // namespace drover
