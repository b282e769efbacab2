#include "server/checkpoint_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "common/base/digest.h"
#include "tests/support/faulty_file_system.h"
#include "tests/unit/server/bad_checkpoints.h"
#include "tests/unit/server/checkpoint_fixture.h"

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CheckpointFileTest : public CheckpointFixture {
 protected:
  std::string PathOf(int64_t version) const { return root_ + "/" + CheckpointName(version, 3); }
};

// A slow obvious digest, as docs/formats.md words it.
std::string DigestByHand(const TestJob& job) {
  std::string bytes;
  for (size_t t = 0; t < job.layout.tensors().size(); ++t) {
    const TensorSpec& tensor = job.layout.tensors()[t];
    bytes += tensor.name + '\0';
    const auto number = [&bytes](uint64_t value, int size) {
      for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
    };
    number(tensor.shape.size(), 4);
    uint64_t elements = 1;
    for (const int64_t extent : tensor.shape) {
      number(static_cast<uint64_t>(extent), 8);
      elements *= static_cast<uint64_t>(extent);
    }
    bytes.append(reinterpret_cast<const char*>(job.arrays[0].data() + job.layout.tensor_offset(t)),
                 elements * 4);
  }
  Sha256 digest;
  digest.Update(bytes.data(), bytes.size());
  return digest.HexDigest();
}

TEST_F(CheckpointFileTest, AnyNumberOfShardsReadsWhatAnyOtherNumberWrote) {
  const TestJob job = MediumJob();
  for (const uint32_t writers : {1u, 2u, 3u, 5u, 9u}) {
    Clear();
    const std::string directory = Commit(job, writers);
    const Result<Manifest> manifest = VerifyCheckpoint(fs_, directory);
    ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
    EXPECT_EQ(manifest.value().weights_digest, DigestByHand(job));

    for (const uint32_t readers : {1u, 2u, 3u, 4u, 7u}) {
      for (const BlockRange& range : job.layout.Place(readers)) {
        const uint64_t elements = job.layout.SpanElements(range);
        if (elements == 0) continue;  // More readers than blocks.
        // 9: gaps must be written too.
        std::vector<std::vector<float>> out(3, std::vector<float>(elements, 9.0f));
        const Status read = ReadCheckpointRange(fs_, directory, manifest.value(), job.layout, range,
                                                {out[0].data(), out[1].data(), out[2].data()});
        ASSERT_TRUE(read.ok()) << read.ToString();
        for (size_t a = 0; a < 3; ++a) {
          EXPECT_EQ(std::memcmp(out[a].data(), job.From(range)[a], elements * 4), 0)
              << writers << " writers, " << readers << " readers, array " << a;
        }
      }
    }
  }
}

TEST_F(CheckpointFileTest, ArraysThatAreNotWantedAreSkipped) {
  const TestJob job = MediumJob();
  const std::string directory = Commit(job, 2);
  std::vector<float> weights(job.arrays[0].size());

  ASSERT_TRUE(ReadCheckpointRange(fs_, directory, ReadManifest(fs_, directory).value(), job.layout,
                                  job.layout.all_blocks(), {weights.data(), nullptr, nullptr})
                  .ok());

  EXPECT_EQ(weights, job.arrays[0]);
}

TEST_F(CheckpointFileTest, AnotherLayoutOrRuleIsRefused) {
  const TestJob job = SmallJob();
  const std::string directory = Commit(job, 2);
  const Manifest manifest = ReadManifest(fs_, directory).value();
  const Layout other = MediumJob().layout;
  std::vector<float> out(1000);

  EXPECT_EQ(
      ReadCheckpointRange(fs_, directory, manifest, other, {0, 1}, {out.data(), nullptr, nullptr})
          .code(),
      Code::kFailedPrecondition);
  EXPECT_EQ(ReadCheckpointRange(fs_, directory, manifest, job.layout, {0, 1}, {out.data(), nullptr})
                .code(),
            Code::kFailedPrecondition);
}

TEST_F(CheckpointFileTest, ReadingARangeVerifiesWhatItReads) {
  const TestJob job = MediumJob();
  const std::string directory = Commit(job, 3);
  const Manifest manifest = ReadManifest(fs_, directory).value();
  const std::string path = directory + "/" + manifest.files[1].name;
  std::string bytes = ReadFile(path);
  bytes[1000] = static_cast<char>(bytes[1000] ^ 1);
  WriteFile(path, bytes);
  std::vector<float> out(job.arrays[0].size());

  EXPECT_EQ(ReadCheckpointRange(fs_, directory, manifest, job.layout, manifest.files[1].blocks,
                                {out.data(), nullptr, nullptr})
                .code(),
            Code::kDataLoss);
  // Other shards' files are whole.
  EXPECT_TRUE(ReadCheckpointRange(fs_, directory, manifest, job.layout, manifest.files[0].blocks,
                                  {out.data(), nullptr, nullptr})
                  .ok());
}

TEST_F(CheckpointFileTest, EveryCaseOfTheCatalogueIsNamed) {
  const TestJob job = SmallJob();
  for (const BadCheckpoint& bad : BadCheckpoints()) {
    SCOPED_TRACE(bad.name);
    Clear();
    const std::string spoilt = Commit(job, 2);
    bad.spoil(spoilt);

    const Status status = VerifyCheckpoint(fs_, spoilt).status();
    EXPECT_EQ(status.code(), bad.code) << status.ToString();
    EXPECT_THAT(status.message(), ::testing::ContainsRegex(bad.fault));
  }
}

TEST_F(CheckpointFileTest, FilesThatMayNotBeReadAreNamed) {
  const std::string directory = Commit(SmallJob(), 1);
  ClosedDisk disk(fs_, Code::kPermissionDenied);

  const Status status = VerifyCheckpoint(disk, directory).status();

  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("shard-0-of-1.bin"));
}

TEST_F(CheckpointFileTest, AllFaultsAreNamedAtOnce) {
  const std::string directory = Commit(SmallJob(), 3);
  Flip(directory + "/shard-0-of-3.bin", 200);
  std::filesystem::remove(directory + "/shard-1-of-3.bin");
  WriteFile(directory + "/stranger", "");

  const Status status = VerifyCheckpoint(fs_, directory).status();

  EXPECT_THAT(status.message(), HasSubstr("shard-0-of-3.bin"));
  EXPECT_THAT(status.message(), HasSubstr("shard-1-of-3.bin"));
  EXPECT_THAT(status.message(), HasSubstr("stranger"));
}

// Changes one file of a checkpoint at random. Its new content, or the old one when the dice fell on
// a change that is none.
std::string Corrupted(std::string bytes, const std::string& other, std::mt19937* random) {
  const auto below = [random](size_t limit) { return (*random)() % std::max<size_t>(limit, 1); };
  const size_t at = below(bytes.size());
  const size_t size = 1 + below(std::min<size_t>(64, bytes.size() - at));
  switch (below(8)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
      break;
    case 1:
      for (size_t i = at; i < at + size; ++i) bytes[i] = static_cast<char>((*random)());
      break;
    case 2:
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), size, '\0');
      break;
    case 3:
      bytes.resize(at);
      break;
    case 4:
      bytes.append(size, static_cast<char>((*random)()));
      break;
    case 5:
      bytes.erase(at, size);
      break;
    case 6:
      bytes.insert(at, bytes.substr(below(bytes.size()), size));
      break;
    case 7:  // A sector of another file of the same checkpoint.
      bytes.replace(at, size, other.substr(std::min(at, other.size()), size));
      break;
  }
  return bytes;
}

TEST_F(CheckpointFileTest, TwoThousandRandomCorruptionsAreAllFound) {
  const std::string directory = Commit(SmallJob(), 2);
  const std::vector<std::string> names = {"MANIFEST", "shard-0-of-2.bin", "shard-1-of-2.bin"};
  std::map<std::string, std::string> files;
  for (const std::string& name : names) files[name] = ReadFile(directory + "/" + name);
  int found = 0;
  for (uint32_t seed = 0; found < 2000; ++seed) {
    std::mt19937 random(seed);
    const std::string& name = names[random() % 3];
    const std::string& other = files[names[random() % 3]];
    const std::string corrupted = Corrupted(files[name], other, &random);
    if (corrupted == files[name]) continue;
    WriteFile(directory + "/" + name, corrupted);

    ASSERT_EQ(VerifyCheckpoint(fs_, directory).status().code(), Code::kDataLoss)
        << name << " with seed " << seed;
    ++found;
    WriteFile(directory + "/" + name, files[name]);
  }
  EXPECT_TRUE(VerifyCheckpoint(fs_, directory).ok());
}

TEST_F(CheckpointFileTest, AFailureAtAnyOperationLeavesTheOldCheckpointOrTheNew) {
  const TestJob job = SmallJob();
  for (const FaultyFileSystem::Fault fault :
       {FaultyFileSystem::Fault::kCrash, FaultyFileSystem::Fault::kDiskFull,
        FaultyFileSystem::Fault::kIoError}) {
    int points = 0;
    for (bool reached = true; reached; ++points) {
      Clear();
      const std::string old_directory = Commit(job, 2, /*version=*/49);
      const std::string staging = root_ + "/.tmp-2";
      const std::string new_directory = root_ + "/" + CheckpointName(50, 3);
      FaultyFileSystem fs(fs_);
      const Manifest manifest = job.Stage(fs, staging, 2);
      fs.BreakAt(points + 1, fault);
      const Status committed = CommitCheckpoint(fs, staging, new_directory, manifest);
      reached = fs.count() > points;
      if (reached && fault == FaultyFileSystem::Fault::kCrash) {
        ASSERT_TRUE(fs.LoseUnsynced().ok());
      }

      EXPECT_TRUE(VerifyCheckpoint(fs_, old_directory).ok()) << "at " << points + 1;
      const bool is_there = std::filesystem::exists(new_directory);
      EXPECT_TRUE(is_there || !committed.ok()) << "at " << points + 1;
      // Whatever has a final name is complete.
      EXPECT_TRUE(!is_there || VerifyCheckpoint(fs_, new_directory).ok()) << "at " << points + 1;
    }
    EXPECT_GT(points, 7);
  }
}

TEST_F(CheckpointFileTest, WhatACommitPromisedSurvivesAPowerLoss) {
  const TestJob job = MediumJob();
  FaultyFileSystem fs(fs_);
  const Manifest manifest = job.Stage(fs, root_ + "/.tmp-1", 3);
  const std::string directory = root_ + "/" + CheckpointName(50, 3);
  ASSERT_TRUE(CommitCheckpoint(fs, root_ + "/.tmp-1", directory, manifest).ok());

  ASSERT_TRUE(fs.LoseUnsynced().ok());

  EXPECT_TRUE(VerifyCheckpoint(fs_, directory).ok());
}

TEST_F(CheckpointFileTest, ACommitNeitherOverwritesNorAcceptsNonsense) {
  const TestJob job = SmallJob();
  const std::string directory = Commit(job, 1);
  Manifest manifest = job.Stage(fs_, root_ + "/.tmp-2", 1);

  EXPECT_EQ(CommitCheckpoint(fs_, root_ + "/.tmp-2", directory, manifest).code(),
            Code::kAlreadyExists);
  manifest.weights_digest = "";
  EXPECT_EQ(CommitCheckpoint(fs_, root_ + "/.tmp-2", root_ + "/new", manifest).code(),
            Code::kInvalidArgument);
  EXPECT_TRUE(VerifyCheckpoint(fs_, directory).ok());
}

TEST_F(CheckpointFileTest, ADiskThatDoesNotAnswerIsNoFaultOfTheCheckpoint) {
  const std::string directory = Commit(SmallJob(), 1);
  ClosedDisk disk(fs_, Code::kUnavailable);

  EXPECT_EQ(VerifyCheckpoint(disk, directory).status().code(), Code::kUnavailable);
}

TEST_F(CheckpointFileTest, PruningGoesByVersionThenEpochAndLeavesOtherNames) {
  const TestJob job = SmallJob();
  Commit(job, 1, 100, 9);
  Commit(job, 1, 200, 2);
  const std::string newest = Commit(job, 2, 200, 10);
  std::filesystem::create_directories(root_ + "/.tmp-300");
  std::filesystem::create_directories(root_ + "/300-1");
  WriteFile(root_ + "/notes", "");

  EXPECT_THAT(PruneCheckpoints(fs_, root_, 1).value(),
              ElementsAre(CheckpointName(200, 2), CheckpointName(100, 9)));

  EXPECT_TRUE(VerifyCheckpoint(fs_, newest).ok());
  for (const char* other : {".tmp-300", "300-1", "notes"}) {
    EXPECT_TRUE(std::filesystem::exists(root_ + "/" + other)) << other;
  }
}

TEST_F(CheckpointFileTest, PruningKeepsTheNewest) {
  const TestJob job = SmallJob();
  for (const int64_t version : {50, 60, 70, 80}) Commit(job, 1, version);

  const Result<std::vector<std::string>> removed = PruneCheckpoints(fs_, root_, 2);

  EXPECT_THAT(removed.value(), ElementsAre("0000000000000060-3", "0000000000000050-3"));
  EXPECT_THAT(fs_.List(root_).value(), ElementsAre("0000000000000070-3", "0000000000000080-3"));
  EXPECT_THAT(PruneCheckpoints(fs_, root_, 2).value(), IsEmpty());
}

TEST_F(CheckpointFileTest, PruningNeverRemovesTheNewestVerifiedOne) {
  const TestJob job = SmallJob();
  for (const int64_t version : {50, 60, 70, 80}) Commit(job, 1, version);
  Flip(root_ + "/0000000000000080-3/shard-0-of-1.bin", 200);
  Flip(root_ + "/0000000000000070-3/MANIFEST", 5);

  EXPECT_THAT(PruneCheckpoints(fs_, root_, 1).value(), ElementsAre("0000000000000050-3"));
  EXPECT_TRUE(VerifyCheckpoint(fs_, PathOf(60)).ok());

  Clear();
  for (const int64_t version : {50, 60}) {
    Flip(Commit(job, 1, version) + "/MANIFEST", 5);
  }
  EXPECT_THAT(PruneCheckpoints(fs_, root_, 1).value(), IsEmpty());
}

TEST_F(CheckpointFileTest, PruningStoppedAnywhereLeavesNoHalfCheckpoint) {
  const TestJob job = SmallJob();
  for (int point = 1; point <= 8; ++point) {
    Clear();
    for (const int64_t version : {50, 60, 70}) Commit(job, 1, version);
    FaultyFileSystem fs(fs_);
    fs.BreakAt(point, FaultyFileSystem::Fault::kCrash);
    (void)PruneCheckpoints(fs, root_, 1).ok();

    EXPECT_TRUE(VerifyCheckpoint(fs_, PathOf(70)).ok());
    EXPECT_TRUE(PruneCheckpoints(fs_, root_, 1).ok());
    EXPECT_THAT(fs_.List(root_).value(), ElementsAre("0000000000000070-3"));
  }
}

}  // namespace
}  // namespace drover
