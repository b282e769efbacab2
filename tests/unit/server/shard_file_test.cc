#include "server/shard_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/hash.h"
#include "tests/support/faulty_file_system.h"
#include "tests/unit/server/checkpoint_fixture.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

class ShardFileTest : public CheckpointFixture {
 protected:
  std::string Path() const { return root_ + "/shard-0-of-1.bin"; }
};

// 700,001 elements in three arrays: three segments, and none ends where an array does.
TestJob LargeJob() { return TestJob({{"w", {700'001}, {}}}); }

TEST_F(ShardFileTest, ArraysAndHeaderComeBackBitForBit) {
  const TestJob job = LargeJob();
  const BlockRange all = job.layout.all_blocks();
  const ShardFileHeader header = job.HeaderOf(all);

  const Result<WrittenFile> written =
      WriteShardFile(fs_, Path(), header, job.layout, job.From(all));

  ASSERT_TRUE(written.ok()) << written.status().ToString();
  EXPECT_EQ(written.value().name, "shard-0-of-1.bin");
  EXPECT_EQ(written.value().bytes, 128u + 3 * 700'001u * 4 + 3 * 4 + 52);
  EXPECT_EQ(written.value().bytes, std::filesystem::file_size(Path()));
  std::vector<std::vector<float>> read(3, std::vector<float>(700'001, 9.0f));
  const Result<ShardFileHeader> found =
      ReadShardFile(fs_, Path(), job.layout, all, {read[0].data(), read[1].data(), read[2].data()});
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found.value(), header);
  for (size_t a = 0; a < 3; ++a) {
    EXPECT_EQ(std::memcmp(read[a].data(), job.arrays[a].data(), 700'001 * 4), 0) << "array " << a;
  }
}

TEST_F(ShardFileTest, ItsNameInTheManifestIsTheHashOfAllItsBytes) {
  const TestJob job = SmallJob();
  const BlockRange all = job.layout.all_blocks();
  const Result<WrittenFile> written =
      WriteShardFile(fs_, Path(), job.HeaderOf(all), job.layout, job.From(all));
  const std::string bytes = ReadFile(Path());

  Hash128 hash;
  hash.Update(bytes.data(), bytes.size());

  EXPECT_EQ(written.value().xxh3, hash.HexDigest());
  EXPECT_EQ(ShardFileReader::Open(fs_, Path(), job.layout).value()->VerifyWhole().value(),
            hash.HexDigest());
}

// The worked example of docs/formats.md, byte by byte. Checksums from an independent program,
// tests/golden/checkpoint_formats.py.
TEST_F(ShardFileTest, BytesAreThoseOfTheDocumentedExample) {
  const Layout layout = Layout::Make({{"w", {2}, {}}}).value();
  const float weights[2] = {1.0f, -2.0f};
  const ShardFileHeader header = {/*job=*/0x0123456789abcdef,
                                  /*version=*/7,
                                  /*applied=*/6,
                                  layout.hash(),
                                  {0, 1},
                                  "sgd",
                                  /*slots=*/0};

  ASSERT_TRUE(WriteShardFile(fs_, Path(), header, layout, {weights}).ok());

  std::string hex;
  for (const char c : ReadFile(Path())) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }
  EXPECT_EQ(hex,
            "44525652534852440100000004030201efcdab896745230107000000000000000600000000000000"
            "58d3a29cdf25570a000000000100000000000000000040000200000000000000c000000000000000"
            "73676400000000000000000000000000000000000000000000000000000000000000000000000000"
            "000000000e3dd7e70000803f000000c0b877f3ea445256522d454e44c00000000000000035343164"
            "3533333231316131363066316161383531376230373961366637613836458a7c");
}

TEST_F(ShardFileTest, AShardWithoutBlocksWritesAnEmptyFile) {
  const TestJob job = SmallJob();
  const BlockRange none = {3, 3};

  ASSERT_TRUE(WriteShardFile(fs_, Path(), job.HeaderOf(none), job.layout, job.From(none)).ok());

  EXPECT_EQ(std::filesystem::file_size(Path()), 128u + 52u);
  EXPECT_TRUE(ReadShardFile(fs_, Path(), job.layout, none, {nullptr, nullptr, nullptr}).ok());
  EXPECT_TRUE(ShardFileReader::Open(fs_, Path(), job.layout).value()->VerifyWhole().ok());
}

TEST_F(ShardFileTest, NeverOverwrites) {
  const TestJob job = SmallJob();
  const BlockRange all = job.layout.all_blocks();
  WriteFile(Path(), "precious");

  const Result<WrittenFile> written =
      WriteShardFile(fs_, Path(), job.HeaderOf(all), job.layout, job.From(all));

  EXPECT_EQ(written.status().code(), Code::kAlreadyExists);
  EXPECT_EQ(ReadFile(Path()), "precious");
}

TEST_F(ShardFileTest, HeadersThatMakeNoSenseAreNotWritten) {
  const TestJob job = SmallJob();
  const BlockRange all = job.layout.all_blocks();
  std::vector<ShardFileHeader> bad(7, job.HeaderOf(all));
  bad[0].rule = "";
  bad[1].rule = "../lamb";
  bad[2].rule = std::string(41, 'x');
  bad[3].applied = bad[3].version + 1;
  bad[4].version = -1;
  bad[5].blocks = {0, all.end + 1};
  bad[6].layout_hash ^= 1;
  for (const ShardFileHeader& header : bad) {
    EXPECT_FALSE(WriteShardFile(fs_, Path(), header, job.layout, job.From({0, 0})).ok());
    EXPECT_FALSE(std::filesystem::exists(Path()));
  }
}

TEST_F(ShardFileTest, OtherBlocksSlotsOrLayoutsAreRefused) {
  const TestJob job = SmallJob();
  ASSERT_TRUE(WriteShardFile(fs_, Path(), job.HeaderOf({0, 2}), job.layout, job.From({0, 2})).ok());
  std::vector<float> out(1000);
  float* const o = out.data();

  EXPECT_EQ(ReadShardFile(fs_, Path(), job.layout, {0, 3}, {o, o, o}).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(ReadShardFile(fs_, Path(), job.layout, {0, 2}, {o, o}).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(ReadShardFile(fs_, Path(), MediumJob().layout, {0, 2}, {o, o, o}).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(ReadShardFile(fs_, Path() + "x", job.layout, {0, 2}, {o, o, o}).status().code(),
            Code::kNotFound);
}

TEST_F(ShardFileTest, EveryFlippedByteIsFoundByAWholeRead) {
  const TestJob job = SmallJob();
  const BlockRange all = job.layout.all_blocks();
  ASSERT_TRUE(WriteShardFile(fs_, Path(), job.HeaderOf(all), job.layout, job.From(all)).ok());
  const std::string whole = ReadFile(Path());
  std::vector<std::vector<float>> out(3, std::vector<float>(1000));
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    WriteFile(Path(), flipped);
    const Result<ShardFileHeader> read =
        ReadShardFile(fs_, Path(), job.layout, all, {out[0].data(), out[1].data(), out[2].data()});
    // A flipped bit inside the footer's hash does not touch the data, but its crc tells.
    EXPECT_EQ(read.status().code(), Code::kDataLoss) << "byte " << i;
  }
}

// A segment with a right checksum in the wrong place, or from another version.
TEST_F(ShardFileTest, SegmentsCannotBeExchanged) {
  const TestJob job = LargeJob();
  const BlockRange all = job.layout.all_blocks();
  ASSERT_TRUE(WriteShardFile(fs_, Path(), job.HeaderOf(all), job.layout, job.From(all)).ok());
  ShardFileHeader later = job.HeaderOf(all);
  ++later.version;
  ASSERT_TRUE(WriteShardFile(fs_, root_ + "/later", later, job.layout, job.From(all)).ok());
  const std::string whole = ReadFile(Path());
  const size_t segment = kShardFileSegmentBytes + 4;

  std::string exchanged = whole;
  exchanged.replace(128, segment, whole, 128 + segment, segment);
  WriteFile(Path(), exchanged);
  std::vector<float> out(700'001);
  const Status moved =
      ShardFileReader::Open(fs_, Path(), job.layout).value()->Read(0, 0, 10, out.data());
  EXPECT_EQ(moved.code(), Code::kDataLoss);
  EXPECT_THAT(moved.message(), HasSubstr("segment 0 at byte 128"));

  exchanged = whole;
  exchanged.replace(128, segment, ReadFile(root_ + "/later"), 128, segment);
  WriteFile(Path(), exchanged);
  EXPECT_EQ(
      ShardFileReader::Open(fs_, Path(), job.layout).value()->Read(0, 0, 10, out.data()).code(),
      Code::kDataLoss);
}

TEST_F(ShardFileTest, AFailureAtAnyOperationLeavesNoFile) {
  const TestJob job = SmallJob();
  const BlockRange all = job.layout.all_blocks();
  for (const FaultyFileSystem::Fault fault :
       {FaultyFileSystem::Fault::kDiskFull, FaultyFileSystem::Fault::kIoError}) {
    FaultyFileSystem fs(fs_);
    for (int point = 1;; ++point) {
      fs.BreakAt(point, fault);
      const Result<WrittenFile> written =
          WriteShardFile(fs, Path(), job.HeaderOf(all), job.layout, job.From(all));
      if (fs.count() < point) {
        EXPECT_TRUE(written.ok());
        EXPECT_GE(point, 10);
        std::filesystem::remove(Path());
        break;
      }
      EXPECT_FALSE(written.ok()) << "operation " << point;
      EXPECT_FALSE(std::filesystem::exists(Path())) << "operation " << point;
    }
  }
}

TEST_F(ShardFileTest, AFullDiskIsSeenBeforeTheFirstByte) {
  // More than any disk of today has.
  const TestJob job = SmallJob();
  const BlockRange all = job.layout.all_blocks();
  FaultyFileSystem fs(fs_);
  fs.BreakAt(1, FaultyFileSystem::Fault::kDiskFull);

  const Status status =
      WriteShardFile(fs, Path(), job.HeaderOf(all), job.layout, job.From(all)).status();

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_EQ(fs_.Create(Path(), uint64_t{1} << 60).status().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace drover
