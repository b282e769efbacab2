#include "common/text/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/text/pre_tokenizer.h"
#include "tests/unit/common/text/text_directory.h"

namespace drover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Lines(const std::string& path) {
  Result<std::unique_ptr<TextFile>> file = TextFile::Open(FileSystem::Real(), path);
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  std::vector<std::string> lines;
  std::string_view line;
  while (true) {
    const Result<bool> more = file.value()->Next(&line);
    EXPECT_TRUE(more.ok()) << more.status().ToString();
    if (!more.ok() || !more.value()) return lines;
    lines.emplace_back(line);
  }
}

TEST(TextFileTest, GivesLinesOfEveryKind) {
  TextDirectory directory;
  EXPECT_THAT(Lines(directory.Write("a", "one\ntwo\r\n\n\nlast")),
              ElementsAre("one", "two", "", "", "last"));
  EXPECT_THAT(Lines(directory.Write("b", "one\n")), ElementsAre("one"));
  EXPECT_THAT(Lines(directory.Write("c", "\xEF\xBB\xBFone\n")), ElementsAre("one"));
  EXPECT_THAT(Lines(directory.Write("d", "\n")), ElementsAre(""));
}

TEST(TextFileTest, LinesCrossTheBuffer) {
  TextDirectory directory;
  std::string text;
  std::vector<std::string> expected;
  for (size_t i = 0; i < 70; ++i) {
    expected.push_back(std::string(50'000 + i, static_cast<char>('a' + i % 26)));
    text += expected.back() + "\n";
  }
  EXPECT_EQ(Lines(directory.Write("a", text)), expected);
}

TEST(TextFileTest, RefusesAHugeLineAndNamesIt) {
  TextDirectory directory;
  EXPECT_EQ(Lines(directory.Write("fits", std::string(kLineBytesMax, 'a') + "\nb")).size(), 2u);
  const std::string path = directory.Write("huge", "a\n" + std::string(kLineBytesMax + 1, 'a'));
  const auto file = TextFile::Open(FileSystem::Real(), path);
  ASSERT_TRUE(file.ok());
  std::string_view line;
  ASSERT_TRUE(file.value()->Next(&line).ok());

  const Status status = file.value()->Next(&line).status();

  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("huge\":2: the line has more than"));
}

TEST(TextFileTest, RefusesEmptyAndMissingFilesAndFolders) {
  TextDirectory directory;
  FileSystem& fs = FileSystem::Real();
  const Status empty = TextFile::Open(fs, directory.Write("empty", "")).status();
  EXPECT_EQ(empty.code(), Code::kInvalidArgument);
  EXPECT_THAT(empty.message(), HasSubstr("is empty"));
  EXPECT_EQ(TextFile::Open(fs, directory.File("none")).status().code(), Code::kNotFound);
  EXPECT_FALSE(TextFile::Open(fs, directory.path()).ok());
}

}  // namespace
}  // namespace drover
