#include "server/coordinator/checkpoint_folders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/faulty_file_system.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kJob = 0xab;

class CheckpointFoldersTest : public ::testing::Test {
 protected:
  void Make(const std::string& folder) {
    std::filesystem::create_directories(root_ + "/" + folder);
    std::ofstream(root_ + "/" + folder + "/file") << "weights";
  }
  bool Has(const std::string& folder) { return fs_.Exists(root_ + "/" + folder); }

  FileSystem& fs_ = FileSystem::Real();
  TestFolder folder_{"checkpoint_folders_test"};
  const std::string root_ = folder_.path();
};

TEST_F(CheckpointFoldersTest, AnAbandonedCheckpointOfAKnownJobGoesAndWholeOnesStay) {
  Make("00000000000000ab/ckpt/0000000000000005-2");
  Make("00000000000000ab/ckpt/.tmp-0000000000000009-2");
  Make("00000000000000cd/ckpt/.tmp-0000000000000009-2");

  EXPECT_THAT(TidyJobFolders(fs_, root_, {kJob}), ElementsAre(HasSubstr("removed")));

  EXPECT_TRUE(Has("00000000000000ab/ckpt/0000000000000005-2/file"));
  EXPECT_FALSE(Has("00000000000000ab/ckpt/.tmp-0000000000000009-2"));
  EXPECT_TRUE(Has("00000000000000cd/ckpt/.tmp-0000000000000009-2")) << "another coordinator's";
}

TEST_F(CheckpointFoldersTest, AKillWhileAJobIsDeletedIsFinishedOrUndoneAtTheNextStart) {
  for (const bool known : {false, true}) {
    Make("00000000000000ab/ckpt/0000000000000005-2");
    ASSERT_TRUE(HideJobFolder(fs_, root_, kJob).ok());
    EXPECT_FALSE(Has("00000000000000ab"));

    TidyJobFolders(fs_, root_, known ? std::vector<uint64_t>{kJob} : std::vector<uint64_t>{});

    EXPECT_EQ(Has("00000000000000ab/ckpt/0000000000000005-2/file"), known);
    EXPECT_FALSE(Has("00000000000000ab.deleted"));
  }
}

TEST_F(CheckpointFoldersTest, NamesThatAreNotOursAreLeftAlone) {
  Make("mine.deleted");
  Make("00000000000000AB.deleted");
  Make("00000000000000ab.deleted.bak");

  EXPECT_THAT(TidyJobFolders(fs_, root_, {}), IsEmpty());

  EXPECT_TRUE(Has("mine.deleted"));
  EXPECT_TRUE(Has("00000000000000AB.deleted"));
  EXPECT_TRUE(Has("00000000000000ab.deleted.bak"));
}

TEST_F(CheckpointFoldersTest, NothingThereIsFine) {
  EXPECT_THAT(TidyJobFolders(fs_, root_ + "/none", {kJob}), IsEmpty());
  EXPECT_TRUE(HideJobFolder(fs_, root_ + "/none", kJob).ok());
}

TEST_F(CheckpointFoldersTest, WhatCannotBeRemovedIsNamed) {
  Make("00000000000000ab/ckpt/.tmp-1");
  FaultyFileSystem faulty(fs_);
  faulty.BreakAt(1, FaultyFileSystem::Fault::kIoError);

  EXPECT_THAT(TidyJobFolders(faulty, root_, {kJob}), ElementsAre(HasSubstr("injected")));
  EXPECT_TRUE(Has("00000000000000ab/ckpt/.tmp-1"));
}

}  // namespace
}  // namespace drover
