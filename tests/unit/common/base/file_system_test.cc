#include "common/base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileSystemTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "drover-file-system-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(files_.RemoveAll(directory_).ok()); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  void Write(const std::string& path, const std::string& content) {
    Result<std::unique_ptr<WritableFile>> file = files_.Create(path, /*reserve_bytes=*/0);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    ASSERT_TRUE(file.value()->Append(content.data(), content.size()).ok());
    ASSERT_TRUE(file.value()->Close().ok());
  }
  std::string Read(const std::string& path) {
    const Result<std::string> content = files_.ReadWhole(path, /*bytes_max=*/1 << 20);
    return content.ok() ? content.value() : content.status().ToString();
  }

  FileSystem& files_ = FileSystem::Real();
  std::string directory_;
};

TEST_F(FileSystemTest, ReadsBackWhatWasAppended) {
  Result<std::unique_ptr<WritableFile>> file = files_.Create(Path("a"), /*reserve_bytes=*/0);
  ASSERT_TRUE(file.ok());

  EXPECT_TRUE(file.value()->Append("one ", 4).ok());
  EXPECT_TRUE(file.value()->Append("two", 3).ok());
  EXPECT_TRUE(file.value()->Sync().ok());
  EXPECT_TRUE(file.value()->Close().ok());

  EXPECT_EQ(Read(Path("a")), "one two");
}

TEST_F(FileSystemTest, CreateForgetsAnOlderFileAndOpenForAppendContinuesIt) {
  Write(Path("a"), "a long first content");
  Write(Path("a"), "short");

  Result<std::unique_ptr<WritableFile>> file = files_.OpenForAppend(Path("a"));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file.value()->Append("er", 2).ok());
  EXPECT_TRUE(file.value()->Close().ok());

  EXPECT_EQ(Read(Path("a")), "shorter");
}

TEST_F(FileSystemTest, ReservedBytesNeverShowAsContent) {
  Result<std::unique_ptr<WritableFile>> file = files_.Create(Path("a"), /*reserve_bytes=*/1 << 20);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file.value()->Append("abc", 3).ok());

  EXPECT_EQ(Read(Path("a")), "abc");
  EXPECT_TRUE(file.value()->Close().ok());

  EXPECT_EQ(Read(Path("a")), "abc");
  struct stat info = {};
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);  // The unused rest is given back.
}

TEST_F(FileSystemTest, ReservingMoreThanTheDiskHoldsIsRefusedAtOnceAndLeavesNoFile) {
  const Result<std::unique_ptr<WritableFile>> file =
      files_.Create(Path("a"), /*reserve_bytes=*/uint64_t{1} << 62);

  EXPECT_EQ(file.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(file.status().message(), HasSubstr(Path("a")));
  EXPECT_FALSE(files_.Exists(Path("a")));
}

TEST_F(FileSystemTest, FullDiskSaysSoAndNamesTheFile) {
  Result<std::unique_ptr<WritableFile>> file = files_.OpenForAppend("/dev/full");
  ASSERT_TRUE(file.ok()) << file.status().ToString();

  const Status status = file.value()->Append("x", 1);

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("cannot write \"/dev/full\": no space left"));
}

TEST_F(FileSystemTest, FirstErrorOfAFileSticks) {
  Result<std::unique_ptr<WritableFile>> file = files_.OpenForAppend("/dev/full");
  ASSERT_TRUE(file.ok());
  const Status first = file.value()->Append("x", 1);

  EXPECT_EQ(file.value()->Append("", 0).ToString(), first.ToString());
  EXPECT_EQ(file.value()->Sync().ToString(), first.ToString());
  EXPECT_EQ(file.value()->Close().ToString(), first.ToString());
}

// The kernel writes what fits below the limit, then fails: a short write is continued.
TEST_F(FileSystemTest, ShortWriteIsContinuedUntilTheErrorShows) {
  Result<std::unique_ptr<WritableFile>> file = files_.Create(Path("a"), /*reserve_bytes=*/0);
  ASSERT_TRUE(file.ok());
  struct rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit limit = before;
  limit.rlim_cur = 5000;
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);

  const std::string content(10'000, 'x');
  const Status status = file.value()->Append(content.data(), content.size());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, old_handler);

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_EQ(Read(Path("a")), std::string(5000, 'x'));
}

TEST_F(FileSystemTest, ClosedFileTakesNothing) {
  Result<std::unique_ptr<WritableFile>> file = files_.Create(Path("a"), /*reserve_bytes=*/0);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file.value()->Close().ok());

  EXPECT_EQ(file.value()->Append("x", 1).code(), Code::kFailedPrecondition);
  EXPECT_EQ(file.value()->Sync().code(), Code::kFailedPrecondition);
  EXPECT_EQ(file.value()->Close().code(), Code::kFailedPrecondition);
}

TEST_F(FileSystemTest, ReadAtGivesAllBytesOrSaysTheFileIsTooShort) {
  Write(Path("a"), "0123456789");
  const Result<std::unique_ptr<ReadableFile>> file = files_.OpenForRead(Path("a"));
  ASSERT_TRUE(file.ok());
  std::string three(3, '?');

  EXPECT_EQ(file.value()->size(), 10u);
  EXPECT_TRUE(file.value()->ReadAt(4, three.data(), 3).ok());
  EXPECT_EQ(three, "456");
  EXPECT_TRUE(file.value()->ReadAt(10, three.data(), 0).ok());
  EXPECT_EQ(file.value()->ReadAt(8, three.data(), 3).code(), Code::kOutOfRange);
  EXPECT_EQ(file.value()->ReadAt(~uint64_t{0}, three.data(), 3).code(), Code::kOutOfRange);
}

TEST_F(FileSystemTest, ReadWholeRefusesMoreThanItsLimit) {
  Write(Path("a"), "0123456789");

  EXPECT_EQ(files_.ReadWhole(Path("a"), /*bytes_max=*/10).value(), "0123456789");
  const Status status = files_.ReadWhole(Path("a"), /*bytes_max=*/9).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("has 10 bytes: expected at most 9"));
}

TEST_F(FileSystemTest, AbsentFileIsNotFoundAndNamed) {
  const Status status = files_.OpenForRead(Path("nothing")).status();

  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "cannot open \"" + Path("nothing") + "\": No such file or directory");
  EXPECT_EQ(files_.ReadWhole(Path("nothing"), 10).status().code(), Code::kNotFound);
  EXPECT_EQ(files_.List(Path("nothing")).status().code(), Code::kNotFound);
  EXPECT_EQ(files_.Rename(Path("nothing"), Path("b")).code(), Code::kNotFound);
  EXPECT_EQ(files_.Truncate(Path("nothing"), 0).code(), Code::kNotFound);
  EXPECT_EQ(files_.SyncDirectory(Path("nothing")).code(), Code::kNotFound);
  EXPECT_EQ(files_.Create(Path("nothing/a"), 0).status().code(), Code::kNotFound);
}

TEST_F(FileSystemTest, ForbiddenFileIsPermissionDenied) {
  Write(Path("secret"), "x");
  ASSERT_EQ(chmod(Path("secret").c_str(), 0), 0);
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  const uid_t user = geteuid();
  constexpr uid_t kNobody = 65534;
  if (user == 0) {
    ASSERT_EQ(seteuid(kNobody), 0);  // Root may read everything.
  }

  const Status status = files_.OpenForRead(Path("secret")).status();
  if (user == 0) {
    ASSERT_EQ(seteuid(user), 0);
  }

  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_THAT(status.message(), HasSubstr("Permission denied"));
}

TEST_F(FileSystemTest, SymbolicLinkIsNotFollowed) {
  Write(Path("real"), "x");
  ASSERT_EQ(symlink(Path("real").c_str(), Path("link").c_str()), 0);

  const Status read = files_.OpenForRead(Path("link")).status();
  const Status written = files_.Create(Path("link"), 0).status();

  EXPECT_EQ(read.code(), Code::kFailedPrecondition);
  EXPECT_THAT(read.message(), HasSubstr("symbolic link"));
  EXPECT_EQ(written.code(), Code::kFailedPrecondition);
  EXPECT_EQ(Read(Path("real")), "x");
}

// As Kubernetes mounts a secret: the name leads to a link, which leads to a folder.
TEST_F(FileSystemTest, SymbolicLinksToAUsersFileAreFollowed) {
  ASSERT_TRUE(files_.MakeDirectories(Path("..2026")).ok());
  Write(Path("..2026/key"), "x");
  ASSERT_EQ(symlink("..2026", Path("..data").c_str()), 0);
  ASSERT_EQ(symlink("..data/key", Path("key").c_str()), 0);
  ASSERT_EQ(symlink("nowhere", Path("dangling").c_str()), 0);
  ASSERT_EQ(symlink("loop", Path("loop").c_str()), 0);
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  ASSERT_EQ(symlink("fifo", Path("to_fifo").c_str()), 0);

  EXPECT_EQ(files_.ReadUserFile(Path("key"), 10).value(), "x");
  EXPECT_EQ(files_.OpenUserFile(Path("key")).value()->size(), 1u);
  EXPECT_EQ(files_.ReadWhole(Path("key"), 10).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(files_.ReadUserFile(Path("dangling"), 10).status().code(), Code::kNotFound);
  EXPECT_EQ(files_.ReadUserFile(Path("loop"), 10).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(files_.ReadUserFile(Path("to_fifo"), 10).status().code(), Code::kFailedPrecondition);
}

TEST_F(FileSystemTest, OnlyRegularFilesAreReadAndAFifoDoesNotHang) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);

  for (const std::string& path : {Path("fifo"), directory_, std::string("/dev/null")}) {
    const Status status = files_.OpenForRead(path).status();
    EXPECT_EQ(status.code(), Code::kFailedPrecondition) << path;
    EXPECT_THAT(status.message(), HasSubstr("expected a regular file"));
  }
  EXPECT_FALSE(files_.Create(Path("fifo"), 0).ok());
}

TEST_F(FileSystemTest, NameWithNulByteIsRefusedEverywhere) {
  const std::string path = Path(std::string("a\0b", 3));
  Write(Path("a"), "x");

  EXPECT_EQ(files_.OpenForRead(path).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(files_.Create(path, 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(files_.Rename(Path("a"), path).code(), Code::kInvalidArgument);
  EXPECT_EQ(files_.RemoveAll(path).code(), Code::kInvalidArgument);
  EXPECT_EQ(files_.MakeDirectories(path).code(), Code::kInvalidArgument);
  EXPECT_EQ(files_.List("").status().code(), Code::kInvalidArgument);
  EXPECT_FALSE(files_.Exists(path));
  EXPECT_EQ(Read(Path("a")), "x");
}

TEST_F(FileSystemTest, ListsNamesInOrder) {
  EXPECT_THAT(files_.List(directory_).value(), IsEmpty());
  Write(Path("b"), "");
  Write(Path("a"), "");
  EXPECT_TRUE(files_.MakeDirectories(Path("c/d")).ok());

  EXPECT_THAT(files_.List(directory_).value(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(files_.List(Path("a")).status().code(), Code::kFailedPrecondition);
}

TEST_F(FileSystemTest, MakesMissingParentsAndAcceptsAnExistingDirectory) {
  EXPECT_TRUE(files_.MakeDirectories(Path("x/y/z")).ok());
  EXPECT_TRUE(files_.MakeDirectories(Path("x/y/z")).ok());
  EXPECT_TRUE(files_.Exists(Path("x/y/z")));

  Write(Path("file"), "");
  EXPECT_FALSE(files_.MakeDirectories(Path("file")).ok());
  EXPECT_FALSE(files_.MakeDirectories(Path("file/below")).ok());
}

TEST_F(FileSystemTest, RenameReplacesAndMayBeMadeDurable) {
  Write(Path("new"), "new");
  Write(Path("old"), "old");

  EXPECT_TRUE(files_.Rename(Path("new"), Path("old")).ok());
  EXPECT_TRUE(files_.SyncDirectory(directory_).ok());

  EXPECT_EQ(Read(Path("old")), "new");
  EXPECT_FALSE(files_.Exists(Path("new")));
}

TEST_F(FileSystemTest, RemoveAllTakesTreesAndIgnoresWhatIsAbsent) {
  EXPECT_TRUE(files_.MakeDirectories(Path("tree/branch")).ok());
  Write(Path("tree/branch/leaf"), "x");

  EXPECT_TRUE(files_.RemoveAll(Path("tree")).ok());
  EXPECT_TRUE(files_.RemoveAll(Path("tree")).ok());

  EXPECT_FALSE(files_.Exists(Path("tree")));
}

TEST_F(FileSystemTest, RemoveAllRemovesALinkAndNotItsTarget) {
  EXPECT_TRUE(files_.MakeDirectories(Path("outside")).ok());
  Write(Path("outside/kept"), "x");
  ASSERT_EQ(symlink(Path("outside").c_str(), Path("link").c_str()), 0);

  EXPECT_TRUE(files_.RemoveAll(Path("link")).ok());

  EXPECT_EQ(Read(Path("outside/kept")), "x");
}

TEST_F(FileSystemTest, TruncateCutsATornEnd) {
  Write(Path("log"), "record torn");

  EXPECT_TRUE(files_.Truncate(Path("log"), 6).ok());
  EXPECT_EQ(Read(Path("log")), "record");
  EXPECT_EQ(files_.Truncate(Path("log"), ~uint64_t{0}).code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace drover
