#include "server/cli/file_text.h"

#include <gtest/gtest.h>

#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

TEST(ReplaceFileTest, ReplacesAndLeavesNothingBeside) {
  TempDirectory directory;
  directory.Write("a", "old");

  ASSERT_TRUE(ReplaceFile(directory.File("a"), "new").ok());

  EXPECT_EQ(directory.Read("a"), "new");
  EXPECT_EQ(FileSystem::Real().List(directory.path()).value(), std::vector<std::string>{"a"});
}

TEST(ReplaceFileTest, NamesAPathThatCannotBeWritten) {
  const Status status = ReplaceFile("/nonexistent/a", "x");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/nonexistent/a"), std::string::npos);
  EXPECT_FALSE(CheckWritable("/nonexistent/a").ok());
}

TEST(CheckWritableTest, LeavesNothingBehind) {
  TempDirectory directory;
  EXPECT_TRUE(CheckWritable(directory.File("a")).ok());
  EXPECT_TRUE(FileSystem::Real().List(directory.path()).value().empty());
}

TEST(LastLinesTest, ShowsTheEnd) {
  TempDirectory directory;
  directory.Write("log", "1\n2\n3\n\n");
  EXPECT_EQ(LastLines(directory.File("log"), 2), "  2\n  3");
  EXPECT_EQ(LastLines(directory.File("log"), 9), "  1\n  2\n  3");
  EXPECT_EQ(LastLines(directory.File("none"), 2), "  (empty)");
}

TEST(LastLinesTest, ReadsOnlyTheTailOfALargeFile) {
  TempDirectory directory;
  directory.Write("log", std::string(1 << 20, 'x') + "\nlast\n");
  EXPECT_EQ(LastLines(directory.File("log"), 1), "  last");
}

TEST(AbsolutePathTest, StartsAtTheCurrentDirectory) {
  EXPECT_EQ(AbsolutePath("/a/b").value(), "/a/b");
  const std::string path = AbsolutePath("a").value();
  EXPECT_TRUE(path.starts_with('/'));
  EXPECT_TRUE(path.ends_with("/a"));
}

}  // namespace
}  // namespace drover
