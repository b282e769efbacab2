#include "worker/data/data_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "common/base/beneath.h"
#include "worker/data/idx_file.h"

namespace drover {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class DataFilesTest : public testing::Test {
 protected:
  DataFilesTest() {
    fs::remove_all(folder_);
    fs::create_directories(root_ + "/mnist");
    fs::create_directories(other_);
    std::ofstream(root_ + "/mnist/digits") << "data";
    std::ofstream(other_ + "/more") << "more";
    std::ofstream(folder_ + "/secret") << "secret";
  }
  ~DataFilesTest() override { fs::remove_all(folder_); }

  std::string Read(const std::string& path) {
    const std::unique_ptr<DataFiles> files = DataFiles::Open({root_, other_}).value();
    const Result<std::unique_ptr<ReadableFile>> file = files->OpenUserFile(path);
    if (!file.ok()) return CodeName(file.status().code());
    std::string content(file.value()->size(), '\0');
    EXPECT_TRUE(file.value()->ReadAt(0, content.data(), content.size()).ok());
    return content;
  }

  const std::string folder_ = testing::TempDir() + "drover_data_files";
  const std::string root_ = folder_ + "/root";
  const std::string other_ = folder_ + "/other";
};

TEST_F(DataFilesTest, FilesBeneathAnyOfTheFoldersAreRead) {
  EXPECT_EQ(Read(root_ + "/mnist/digits"), "data");
  EXPECT_EQ(Read(root_ + "//./mnist/digits"), "data");
  EXPECT_EQ(Read("mnist/digits"), "data");
  EXPECT_EQ(Read("./mnist/../mnist/digits"), "data");
  EXPECT_EQ(Read("more"), "more");
  EXPECT_EQ(Read(other_ + "/more"), "more");
  EXPECT_EQ(Read("mnist/nothing"), "NOT_FOUND");
}

TEST_F(DataFilesTest, NoSpellingLeadsOut) {
  for (const std::string& path :
       {folder_ + "/secret", std::string("/etc/passwd"), root_ + "/../secret",
        std::string("../secret"), std::string("mnist/../../secret"), root_ + "-else/digits",
        std::string("/proc/self/environ"), std::string("/")}) {
    EXPECT_EQ(Read(path), "PERMISSION_DENIED") << path;
  }
  // Nobody decodes what looks like a URL, and Unicode's dots are letters.
  EXPECT_EQ(Read("%2e%2e/secret"), "NOT_FOUND");
  EXPECT_EQ(Read("\xE2\x80\xA5/secret"), "NOT_FOUND");
  EXPECT_EQ(Read(std::string("mnist/digits\0/../../secret", 26)), "INVALID_ARGUMENT");
  EXPECT_EQ(Read(""), "INVALID_ARGUMENT");
  EXPECT_EQ(Read(std::string(5000, 'a')), "FAILED_PRECONDITION");
}

// As Kubernetes mounts a secret: names are links to a folder that is itself behind a link.
TEST_F(DataFilesTest, LinksAreFollowedWhileTheyStayInside) {
  fs::create_directories(root_ + "/..2026_01");
  std::ofstream(root_ + "/..2026_01/labels") << "labels";
  fs::create_directory_symlink("..2026_01", root_ + "/..data");
  fs::create_symlink("..data/labels", root_ + "/labels");
  EXPECT_EQ(Read("labels"), "labels");

  fs::create_symlink("../secret", root_ + "/out");
  fs::create_symlink(folder_ + "/secret", root_ + "/absolute");
  fs::create_directory_symlink("/", root_ + "/slash");
  fs::create_directory_symlink("/proc/self/root", root_ + "/magic");
  for (const char* path : {"out", "absolute", "slash/etc/passwd", "magic/etc/passwd"}) {
    EXPECT_EQ(Read(path), "PERMISSION_DENIED") << path;
  }
}

TEST_F(DataFilesTest, OnlyRegularFilesAreOpenedAndNothingIsWaitedFor) {
  ASSERT_EQ(mkfifo((root_ + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(Read("fifo"), "FAILED_PRECONDITION");
  EXPECT_EQ(Read("mnist"), "FAILED_PRECONDITION");
  EXPECT_EQ(Read(root_), "FAILED_PRECONDITION");
}

TEST_F(DataFilesTest, WithoutAFolderEveryFileIsRefusedWithAdvice) {
  const std::unique_ptr<DataFiles> files = DataFiles::Open({}).value();
  const Status status = files->OpenUserFile(root_ + "/mnist/digits").status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_THAT(status.message(), HasSubstr("give it --data-root DIR"));
  EXPECT_EQ(OpenIdxDataset(*files, root_, Split::kTrain).status().code(), Code::kPermissionDenied);
}

TEST_F(DataFilesTest, TheFoldersMustBeThere) {
  for (const std::string& root :
       {root_ + "/nothing", root_ + "/mnist/digits", std::string("relative"), std::string()}) {
    const Status status = DataFiles::Open({root_, root}).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << root;
    EXPECT_THAT(status.message(), HasSubstr("--data-root"));
  }
}

TEST_F(DataFilesTest, NothingIsWritten) {
  const std::unique_ptr<DataFiles> files = DataFiles::Open({root_}).value();
  EXPECT_EQ(files->Create(root_ + "/new", 0).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(files->RemoveAll(root_ + "/mnist").code(), Code::kPermissionDenied);
  EXPECT_EQ(files->Rename(root_ + "/mnist", root_ + "/m").code(), Code::kPermissionDenied);
  EXPECT_EQ(files->List("/").status().code(), Code::kPermissionDenied);
}

TEST(BeneathTest, SpellingIsComparedPartByPart) {
  EXPECT_TRUE(IsSpelledBeneath("/data", "/data"));
  EXPECT_TRUE(IsSpelledBeneath("/data/", "/data/a"));
  EXPECT_TRUE(IsSpelledBeneath("/", "/etc"));
  EXPECT_TRUE(IsSpelledBeneath("/data", "//data/./a"));
  EXPECT_FALSE(IsSpelledBeneath("/data", "/database"));
  EXPECT_FALSE(IsSpelledBeneath("/data", "data"));
  EXPECT_FALSE(IsSpelledBeneath("/data/a", "/data"));
}

}  // namespace
}  // namespace drover
