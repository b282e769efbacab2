#include "server/shard/redo_log.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "tests/support/faulty_file_system.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kJob = 0xfeedfacecafebeef;
constexpr uint64_t kLayoutHash = 77;
constexpr BlockRange kRange = {3, 9};

// A record with its own copy of the elements, as bits: -0 and denormals must come back.
struct Kept {
  RedoRecord::Type type;
  int64_t step;
  LeafStatsSum stats;
  std::vector<std::vector<uint32_t>> chunks;
  std::string commit_bytes;

  friend bool operator==(const Kept&, const Kept&) = default;
};

Kept Keep(const RedoRecord& record) {
  Kept kept = {record.type, record.step, record.stats, {}, record.commit_bytes};
  for (const std::span<const float> chunk : record.chunks) {
    kept.chunks.emplace_back();
    for (const float element : chunk)
      kept.chunks.back().push_back(std::bit_cast<uint32_t>(element));
  }
  return kept;
}

std::vector<std::vector<float>> ChunksOf(int64_t step) {
  return {{static_cast<float>(step), -0.0f, std::numeric_limits<float>::denorm_min()},
          {},
          std::vector<float>(20, 0.1f * static_cast<float>(step))};
}

LeafStatsSum StatsOf(int64_t step) {
  return {-step - 1, step + 2, step + 3, step + 4, {step + 5, ~uint64_t{0}}};
}

Kept GradientOf(int64_t step) {
  const std::vector<std::vector<float>> chunks = ChunksOf(step);
  RedoRecord record = {RedoRecord::Type::kGradient, step, StatsOf(step), {}, {}};
  for (const std::vector<float>& chunk : chunks) record.chunks.emplace_back(chunk);
  return Keep(record);
}

Kept CommitOf(int64_t step) {
  return {RedoRecord::Type::kCommit, step, {}, {}, fmt::format("commit {}", step)};
}

Status AppendGradient(RedoLog& log, int64_t step) {
  const std::vector<std::vector<float>> chunks = ChunksOf(step);
  const std::vector<std::span<const float>> spans(chunks.begin(), chunks.end());
  return log.AppendGradient(step, StatsOf(step), spans);
}

Status AppendCommit(RedoLog& log, int64_t step) {
  return log.AppendCommit(step, fmt::format("commit {}", step));
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

class RedoLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "redo_log_test_" + std::to_string(getpid());
    Clear();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void Clear() {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }

  Result<std::unique_ptr<RedoLog>> Open(FileSystem& fs = FileSystem::Real()) {
    return RedoLog::Open(fs, directory_, kJob, kLayoutHash, kRange);
  }

  struct Replayed {
    Status status;
    std::unique_ptr<RedoLog> log;
    RedoLog::ReplayReport report;
    std::vector<Kept> records;
  };

  Replayed OpenAndReplay() {
    Replayed replayed;
    Result<std::unique_ptr<RedoLog>> log = Open();
    replayed.status = log.status();
    if (!log.ok()) return replayed;
    replayed.log = std::move(log).value();
    const Result<RedoLog::ReplayReport> report =
        replayed.log->Replay([&replayed](const RedoRecord& record) {
          replayed.records.push_back(Keep(record));
          return Status();
        });
    replayed.status = report.status();
    if (report.ok()) replayed.report = report.value();
    return replayed;
  }

  // A closed log with base 5 and four records.
  void WriteFourRecords() {
    const Replayed fresh = OpenAndReplay();
    ASSERT_TRUE(fresh.log->Restart(5).ok());
    for (int64_t step = 5; step < 7; ++step) {
      ASSERT_TRUE(AppendGradient(*fresh.log, step).ok());
      ASSERT_TRUE(AppendCommit(*fresh.log, step).ok());
    }
  }

  std::vector<Kept> FourRecords() const {
    return {GradientOf(5), CommitOf(5), GradientOf(6), CommitOf(6)};
  }

  std::string Path(int64_t base) const {
    return fmt::format("{}/redo-{:016d}.log", directory_, base);
  }

  std::string directory_;
};

TEST_F(RedoLogTest, AnEmptyDirectoryHasNothingToReplayAndWaitsForARestart) {
  const Replayed fresh = OpenAndReplay();

  ASSERT_TRUE(fresh.status.ok()) << fresh.status.ToString();
  EXPECT_FALSE(fresh.report.base_version.has_value());
  EXPECT_EQ(AppendCommit(*fresh.log, 0).code(), Code::kFailedPrecondition);
  EXPECT_EQ(Open().value()->Restart(0).code(), Code::kOk);
}

TEST_F(RedoLogTest, RecordsComeBackBitForBitAndInOrder) {
  WriteFourRecords();

  const Replayed replayed = OpenAndReplay();

  ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString();
  EXPECT_EQ(replayed.report.base_version, 5);
  EXPECT_EQ(replayed.report.records, 4);
  EXPECT_EQ(replayed.report.torn_bytes, 0u);
  EXPECT_EQ(replayed.records, FourRecords());
  EXPECT_EQ(replayed.log->bytes(), std::filesystem::file_size(Path(5)));
}

// The worked example of docs/formats.md, from tests/golden/checkpoint_formats.py.
TEST_F(RedoLogTest, BytesAreThoseOfTheDocumentedExample) {
  const Layout layout = Layout::Make({{"w", {2}, {}}}).value();
  const float elements[2] = {0.5f, -0.25f};
  const std::span<const float> chunks[1] = {elements};
  {
    const std::unique_ptr<RedoLog> log =
        RedoLog::Open(FileSystem::Real(), directory_, 0x0123456789abcdef, layout.hash(), {0, 1})
            .value();
    ASSERT_TRUE(log->Restart(7).ok());
    ASSERT_TRUE(log->AppendGradient(7, {3 << 20, 5, 8, 0, SquareTotalOf(2.5)}, chunks).ok());
    ASSERT_TRUE(log->AppendCommit(7, "commit").ok());
  }

  std::string hex;
  for (const char c : ReadFile(Path(7))) {
    hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  }
  EXPECT_EQ(hex,
            "445256525245444f0200000004030201efcdab896745230158d3a29cdf25570a0000000001000000"
            "0700000000000000000000000000000000000000a59898ad5245444f010000000700000000000000"
            "48000000000000000000000092dc0075000030000000000005000000000000000800000000000000"
            "00000000000000000200000000000000000000000000008001000000000000000200000000000000"
            "0000003f000080be00841dc05245444f020000000700000000000000060000000000000001000000"
            "d408982e636f6d6d69746c5de918");
}

TEST_F(RedoLogTest, AppendsGoOnAfterAReplay) {
  WriteFourRecords();
  ASSERT_TRUE(AppendGradient(*OpenAndReplay().log, 7).ok());

  const Replayed replayed = OpenAndReplay();

  std::vector<Kept> expected = FourRecords();
  expected.push_back(GradientOf(7));
  EXPECT_EQ(replayed.records, expected);
}

TEST_F(RedoLogTest, AnErrorOfTheConsumerStopsTheReplay) {
  WriteFourRecords();
  int calls = 0;

  const Status status = Open()
                            .value()
                            ->Replay([&calls](const RedoRecord&) {
                              return ++calls == 2 ? Status(Code::kAborted, "enough") : Status();
                            })
                            .status();

  EXPECT_EQ(status.code(), Code::kAborted);
  EXPECT_EQ(calls, 2);
}

TEST_F(RedoLogTest, ATailCutAnywhereIsDroppedAndTheLogGoesOn) {
  WriteFourRecords();
  const std::string whole = ReadFile(Path(5));
  const size_t last = 32 + CommitOf(6).commit_bytes.size() + 4;
  for (size_t cut = 1; cut < last; ++cut) {
    WriteFile(Path(5), whole.substr(0, whole.size() - cut));

    const Replayed replayed = OpenAndReplay();

    ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString();
    EXPECT_EQ(replayed.report.torn_bytes, last - cut);
    EXPECT_EQ(replayed.records.size(), 3u);
    ASSERT_TRUE(AppendCommit(*replayed.log, 6).ok());
    EXPECT_EQ(ReadFile(Path(5)), whole);
  }
}

TEST_F(RedoLogTest, ZerosAtTheEndAreATornTail) {
  WriteFourRecords();
  const std::string whole = ReadFile(Path(5));
  WriteFile(Path(5), whole + std::string(5000, '\0'));

  const Replayed replayed = OpenAndReplay();

  EXPECT_EQ(replayed.report.torn_bytes, 5000u);
  EXPECT_EQ(replayed.records, FourRecords());
  EXPECT_EQ(ReadFile(Path(5)), whole);
}

// Every byte of the log: the records delivered are the right ones, and what is not delivered is
// either reported as damage or was the last one.
TEST_F(RedoLogTest, AFlippedBitNeverPassesForContent) {
  WriteFourRecords();
  const std::string whole = ReadFile(Path(5));
  const std::vector<Kept> expected = FourRecords();
  const size_t last_payload = whole.size() - 4 - CommitOf(6).commit_bytes.size();
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    WriteFile(Path(5), flipped);

    const Replayed replayed = OpenAndReplay();

    ASSERT_LT(replayed.records.size(), expected.size()) << "byte " << i;
    EXPECT_TRUE(std::equal(replayed.records.begin(), replayed.records.end(), expected.begin()));
    if (i < last_payload) {
      EXPECT_EQ(replayed.status.code(), Code::kDataLoss) << "byte " << i;
      EXPECT_EQ(ReadFile(Path(5)), flipped) << "evidence changed, byte " << i;
    } else {
      EXPECT_TRUE(replayed.status.ok()) << "byte " << i;
      EXPECT_GT(replayed.report.torn_bytes, 0u);
    }
  }
}

TEST_F(RedoLogTest, AMissingOrRepeatedRecordIsDamage) {
  WriteFourRecords();
  const std::string whole = ReadFile(Path(5));
  const size_t commit_bytes = 32 + CommitOf(5).commit_bytes.size() + 4;
  const size_t half = (whole.size() - 64) / 2;  // One gradient and one commit.
  const size_t first_commit = 64 + half - commit_bytes;

  WriteFile(Path(5), whole.substr(0, first_commit) + whole.substr(64 + half));
  EXPECT_EQ(OpenAndReplay().status.code(), Code::kDataLoss);

  WriteFile(Path(5), whole.substr(0, 64 + half) + whole.substr(first_commit));
  EXPECT_EQ(OpenAndReplay().status.code(), Code::kDataLoss);
}

TEST_F(RedoLogTest, ALogOfAnotherJobLayoutOrRangeIsRefused) {
  WriteFourRecords();
  FileSystem& fs = FileSystem::Real();

  EXPECT_EQ(RedoLog::Open(fs, directory_, kJob + 1, kLayoutHash, kRange).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(RedoLog::Open(fs, directory_, kJob, kLayoutHash + 1, kRange).status().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(RedoLog::Open(fs, directory_, kJob, kLayoutHash, {3, 8}).status().code(),
            Code::kFailedPrecondition);
  // A log under another base's name.
  std::filesystem::rename(Path(5), Path(6));
  EXPECT_EQ(Open().status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(RedoLog::Open(fs, directory_ + "/none", kJob, 1, kRange).status().code(),
            Code::kNotFound);
}

TEST_F(RedoLogTest, RestartForgetsAllRecordsAndOlderFiles) {
  WriteFourRecords();
  const Replayed replayed = OpenAndReplay();
  WriteFile(Path(9) + ".tmp", "left over");
  WriteFile(directory_ + "/snapshot", "not ours");

  ASSERT_TRUE(replayed.log->Restart(7).ok());
  ASSERT_TRUE(AppendGradient(*replayed.log, 7).ok());

  EXPECT_THAT(FileSystem::Real().List(directory_).value(),
              ::testing::ElementsAre("redo-0000000000000007.log", "snapshot"));
  const Replayed again = OpenAndReplay();
  EXPECT_EQ(again.report.base_version, 7);
  EXPECT_EQ(again.records, std::vector<Kept>{GradientOf(7)});
}

TEST_F(RedoLogTest, RestartAtTheSameVersionBeginsAnEmptyLog) {
  WriteFourRecords();
  ASSERT_TRUE(OpenAndReplay().log->Restart(5).ok());

  const Replayed again = OpenAndReplay();

  EXPECT_EQ(again.report.base_version, 5);
  EXPECT_TRUE(again.records.empty());
}

TEST_F(RedoLogTest, ANewLogWithoutItsHeaderIsNotThereYet) {
  for (const std::string& content : {std::string(), std::string("DRVR"), std::string(64, '\0')}) {
    Clear();
    WriteFourRecords();
    WriteFile(Path(7), content);

    const Replayed replayed = OpenAndReplay();

    ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString();
    EXPECT_EQ(replayed.report.base_version, 5);
    EXPECT_EQ(replayed.records, FourRecords());
  }
}

TEST_F(RedoLogTest, AFullDiskSticksUntilTheNextRestart) {
  FaultyFileSystem fs(FileSystem::Real());
  const std::unique_ptr<RedoLog> log = Open(fs).value();
  ASSERT_TRUE(log->Restart(0).ok());
  ASSERT_TRUE(AppendCommit(*log, 0).ok());

  fs.BreakAt(2, FaultyFileSystem::Fault::kDiskFull);
  EXPECT_EQ(AppendGradient(*log, 1).code(), Code::kResourceExhausted);
  EXPECT_EQ(AppendCommit(*log, 1).code(), Code::kResourceExhausted);
  EXPECT_EQ(OpenAndReplay().records, std::vector<Kept>{CommitOf(0)});

  ASSERT_TRUE(log->Restart(1).ok());
  EXPECT_TRUE(AppendGradient(*log, 1).ok());
  EXPECT_EQ(OpenAndReplay().records, std::vector<Kept>{GradientOf(1)});
}

// What a shard does over two snapshots, until something fails. Returns the state that it was last
// promised: base and records, and with `next` the one that the failed call may have reached.
struct Promise {
  int64_t base = -1;
  std::vector<Kept> records;

  friend bool operator==(const Promise&, const Promise&) = default;
};

std::pair<Promise, Promise> Live(RedoLog& log) {
  Promise now;
  for (int64_t step = 0; step < 6; ++step) {
    Promise next = now;
    if (step % 3 == 0) {
      next = {step, {}};
      if (!log.Restart(step).ok()) return {now, next};
      now = next;
    }
    next.records.push_back(GradientOf(step));
    if (!AppendGradient(log, step).ok()) return {now, next};
    now = next;
    next.records.push_back(CommitOf(step));
    if (!AppendCommit(log, step).ok()) return {now, next};
    now = next;
  }
  return {now, now};
}

TEST_F(RedoLogTest, AFailureAtAnyOperationLeavesTheOldStateOrTheNew) {
  for (const FaultyFileSystem::Fault fault :
       {FaultyFileSystem::Fault::kCrash, FaultyFileSystem::Fault::kDiskFull,
        FaultyFileSystem::Fault::kIoError}) {
    int points = 0;
    for (bool reached = true; reached; ++points) {
      Clear();
      FaultyFileSystem fs(FileSystem::Real());
      const std::unique_ptr<RedoLog> log = Open(fs).value();
      fs.BreakAt(points + 1, fault);
      const auto [old_state, new_state] = Live(*log);
      reached = fs.count() > points;

      const Replayed replayed = OpenAndReplay();

      ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString() << " at " << points + 1;
      const Promise found = {replayed.report.base_version.value_or(-1), replayed.records};
      EXPECT_TRUE(found == old_state || found == new_state) << "at operation " << points + 1;
    }
    EXPECT_GT(points, 40);
  }
}

}  // namespace
}  // namespace drover
