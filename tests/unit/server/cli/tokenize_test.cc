#include "server/cli/tokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/text/token_file.h"
#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class TokenizeTest : public testing::Test {
 protected:
  TokenizeTest() {
    options_.out = directory_.File("out");
    options_.vocabulary_size = 60;
    options_.lowercase = true;
  }

  // Makes everything; the manifest, or the error.
  Result<std::string> Make() {
    const Result<Vocabulary> vocabulary = PrepareVocabulary(options_);
    if (!vocabulary.ok()) return vocabulary.status();
    const Result<TokenizedText> text = TokenizeText(options_, vocabulary.value());
    if (!text.ok()) return text.status();
    std::string manifest;
    DROVER_RETURN_IF_ERROR(WriteDataset(options_, vocabulary.value(), text.value(), &manifest));
    return manifest;
  }
  std::string Input(const std::string& name, const std::string& text) {
    directory_.Write(name, text);
    return directory_.File(name);
  }
  TokenText Open(const std::string& name) {
    return ReadTokenFile(FileSystem::Real(), options_.out + "/" + name).value();
  }

  TempDirectory directory_;
  TokenizeOptions options_;
};

// Documents of two sentences each.
std::string Documents(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += "Speak, first citizen!\nSpeak speak " + std::string(1, static_cast<char>('a' + i % 26));
    text += "\n \t\n";
  }
  return text;
}

TEST_F(TokenizeTest, MakesAFolderThatATextDatasetReads) {
  options_.inputs = {Input("a", Documents(30)), Input("b", "One more\n\n\n\nand more")};
  options_.test_fraction = 0.1;

  const Result<std::string> manifest = Make();

  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  EXPECT_THAT(FileSystem::Real().List(options_.out).value(),
              UnorderedElementsAre("vocab.txt", "train.tokens", "test.tokens", "dataset.json"));
  EXPECT_EQ(directory_.Read("out/dataset.json"), manifest.value());
  const nlohmann::json json = nlohmann::json::parse(manifest.value());
  const Vocabulary vocabulary = Vocabulary::FromText(directory_.Read("out/vocab.txt")).value();
  EXPECT_EQ(json["vocabulary"]["size"], vocabulary.size());
  EXPECT_EQ(json["vocabulary"]["xxh3_128"], vocabulary.Hash());
  const TokenText train = Open("train.tokens");
  const TokenText test = Open("test.tokens");
  EXPECT_EQ(train.info().vocabulary_hash, vocabulary.Hash());
  EXPECT_TRUE(train.info().lowercase);
  // Of 32 documents the 5th, 15th and 25th are held out.
  EXPECT_EQ(train.documents(), 29u);
  EXPECT_EQ(test.documents(), 3u);
  EXPECT_EQ(train.sentences(), 27u * 2 + 2);
  EXPECT_EQ(json["train"]["documents"], 29);
  EXPECT_EQ(json["test"]["tokens"], test.tokens());
}

TEST_F(TokenizeTest, LinesAreSentencesAndLongOnesAreSplit) {
  std::string line;
  for (int i = 0; i < 150; ++i) line += "a ";
  options_.inputs = {Input("a", line + "\nb\n\na\n\nb\n\na b\n")};
  options_.vocabulary_size = 20;
  options_.test_fraction = 0.5;

  ASSERT_TRUE(Make().ok());

  // Documents 1 and 3 are held out.
  EXPECT_THAT(Open("test.tokens").sentence_starts(), ElementsAre(0, 64, 128, 150, 151, 152));
  EXPECT_THAT(Open("train.tokens").sentence_starts(), ElementsAre(0, 1, 3));
}

TEST_F(TokenizeTest, TheSameTextGivesTheSameBytes) {
  options_.inputs = {Input("a", Documents(40))};
  ASSERT_TRUE(Make().ok());
  const std::vector<std::string> names = {"out/vocab.txt", "out/train.tokens", "out/test.tokens",
                                          "out/dataset.json"};
  std::vector<std::string> first;
  for (const std::string& name : names) first.push_back(directory_.Read(name));

  ASSERT_TRUE(Make().ok());

  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(directory_.Read(names[i]), first[i]);
}

TEST_F(TokenizeTest, TakesAVocabularyThatIsThere) {
  options_.inputs = {Input("a", Documents(40))};
  options_.vocabulary_path =
      Input("vocab", "[PAD]\n[unused]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nspeak\nfirst\n,\n!\n");

  ASSERT_TRUE(Make().ok());

  EXPECT_EQ(directory_.Read("out/vocab.txt"), directory_.Read("vocab"));
  std::vector<int32_t> tokens(5);
  const TokenText train = Open("train.tokens");
  train.CopyTokens(0, 5, tokens.data());
  EXPECT_THAT(tokens, ElementsAre(6, 8, 7, 2, 9));  // speak , first [UNK] !
}

TEST_F(TokenizeTest, RefusesBadInputsAndWritesNothing) {
  const auto refused = [this](const std::string& why) {
    const Status status = Make().status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << why;
    EXPECT_THAT(status.message(), HasSubstr(why));
    EXPECT_FALSE(FileSystem::Real().Exists(options_.out));
  };
  options_.inputs = {Input("a", Documents(40)), Input("bad", "fine\nfine \xFF\n")};
  refused("bad\":2: byte 6 of the line is 0xff, which is not UTF-8");
  options_.inputs = {Input("empty", "")};
  refused("empty\" is empty");
  options_.inputs = {Input("spaces", " \n\n")};
  refused("no word");
  options_.inputs = {Input("one", "only one document here\nof two lines\n")};
  refused("the training part has 1 documents, expected at least 2");
  options_.inputs = {Input("few", Documents(10))};
  refused("the held-out part has 1 documents");
  options_.vocabulary_path = Input("vocab", "[PAD]\n");
  refused("vocab\": vocabulary: no [UNK]");
  options_.vocabulary_path.clear();
  options_.vocabulary_size = 6;
  refused("a vocabulary of 6 tokens");
}

TEST_F(TokenizeTest, NamesMissingFiles) {
  options_.inputs = {directory_.File("none")};
  EXPECT_EQ(Make().status().code(), Code::kNotFound);
  options_.inputs = {Input("a", Documents(40))};
  options_.vocabulary_path = directory_.File("none");
  EXPECT_EQ(Make().status().code(), Code::kNotFound);
}

TEST_F(TokenizeTest, EndsWhenInterrupted) {
  options_.inputs = {Input("a", Documents(500))};
  options_.interrupted = [] { return true; };
  EXPECT_EQ(Make().status().code(), Code::kCancelled);
  EXPECT_FALSE(FileSystem::Real().Exists(options_.out));
}

TEST_F(TokenizeTest, AFolderThatCannotBeWrittenIsNamed) {
  options_.inputs = {Input("a", Documents(40))};
  options_.out = Input("file", "x");
  const Status status = Make().status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("file"));
}

}  // namespace
}  // namespace drover
