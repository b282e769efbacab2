#include "common/tls/secret_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/file_system.h"
#include "tests/unit/common/tls/temp_folder.h"

namespace drover {
namespace {

unsigned ModeOf(const std::string& path) {
  struct stat found = {};
  EXPECT_EQ(stat(path.c_str(), &found), 0);
  return found.st_mode & 07777;
}

TEST(SecretFileTest, NeverOverwrites) {
  TempFolder folder;
  const std::string path = folder.path() + "/a.key";
  ASSERT_TRUE(WriteNewFile(path, "first", 0600).ok());

  EXPECT_EQ(WriteNewFile(path, "second", 0600).code(), Code::kAlreadyExists);

  EXPECT_EQ(FileSystem::Real().ReadWhole(path, 100).value(), "first");
  EXPECT_EQ(ModeOf(path), 0600u);
}

TEST(SecretFileTest, DoesNotWriteThroughLinks) {
  TempFolder folder;
  std::filesystem::create_symlink(folder.path() + "/elsewhere", folder.path() + "/a.key");
  EXPECT_EQ(WriteNewFile(folder.path() + "/a.key", "x", 0600).code(), Code::kAlreadyExists);
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/elsewhere"));
}

TEST(SecretFileTest, ReplacesAtOnceAndChangesTheStamp) {
  TempFolder folder;
  const std::string path = folder.Write("tokens", "old");
  const std::string stamp = FileStamp(path);
  ASSERT_TRUE(ReplaceFile(path, "new", 0600).ok());
  EXPECT_EQ(FileSystem::Real().ReadWhole(path, 100).value(), "new");
  EXPECT_NE(FileStamp(path), stamp);
  EXPECT_EQ(FileSystem::Real().List(folder.path()).value().size(), 1u);
  EXPECT_EQ(FileStamp(path + "-absent"), "");
}

TEST(SecretFileTest, TellsWhoMayReadIt) {
  TempFolder folder;
  EXPECT_TRUE(CheckSecretMode(folder.Write("a", "", 0600)).ok());
  EXPECT_TRUE(CheckSecretMode(folder.Write("b", "", 0440)).ok());
  for (const unsigned mode : {0644u, 0604u, 0602u}) {
    const Status status = CheckSecretMode(folder.Write("c", "", mode));
    EXPECT_EQ(status.code(), Code::kPermissionDenied);
    EXPECT_THAT(status.message(), testing::HasSubstr("chmod 600"));
  }
  EXPECT_EQ(CheckSecretMode(folder.path() + "/absent").code(), Code::kNotFound);
  EXPECT_EQ(WriteNewFile(folder.path() + "/absent/a", "", 0600).code(), Code::kNotFound);
}

}  // namespace
}  // namespace drover
