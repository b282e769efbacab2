#include "server/coordinator/job_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "server/coordinator/job_store_schema.h"
#include "tests/unit/server/coordinator/job_store_fixture.h"

namespace drover {
namespace {

constexpr uint64_t kId = 0x8123456789abcdef;  // The top bit is set: ids are not signed.

// Every field differs from its default and from the others.
JobRow FullRow() {
  JobRow job;
  job.id = kId;
  job.request_id = "request-1";
  job.spec_digest = "digest-1";
  job.spec = std::string("spec\0with a zero", 16);
  job.name = "digits-lamb";
  job.owner = "submitter/ann";
  job.created_unix_ms = 1'700'000'000'001;
  job.epoch = 3;
  job.step = 17;
  job.applied = 16;
  job.ledger = {101, 102, 103, 104, 105, 106};
  job.state = 4;
  job.reason = "WAITING_FOR_SHARDS";
  job.message = "needs 2 shards";
  job.priority = -5;
  job.started_unix_ms = 1'700'000'000'002;
  job.ended_unix_ms = 1'700'000'000'003;
  job.layout = std::string("\0layout\xff", 8);
  job.layout_hash = 0xfedcba9876543210;
  job.numeric_class = "cpu onednn-2.6.3 avx512_core f32";
  job.train_samples = 60000;
  job.eval_samples = 10000;
  job.train_fingerprint = 0x8000000000000001;
  job.eval_fingerprint = 0x9000000000000002;
  job.workers_lost = 2;
  job.shards_restarted = 1;
  job.weights_digest = "7c41e09ab2d3";
  job.weights_digest_step = 15;
  job.consecutive_skips = 4;
  job.run_ms = 12345;
  job.last_eval = "eval";
  job.schedule = "schedule";
  return job;
}

TEST_F(JobStoreTest, EveryFieldSurvivesReopening) {
  const JobRow job = FullRow();
  const Result<JobStore::Created> created = store_->CreateJob(job, {Event(1), Event(2)});
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  EXPECT_TRUE(created.value().is_new);

  Reopen();

  EXPECT_EQ(store_->GetJob(kId).value(), job);
  EXPECT_EQ(store_->ReadEvents(kId, 0, 100).value(), (std::vector<EventRow>{Event(1), Event(2)}));
}

TEST_F(JobStoreTest, UpdateSetsEverythingButWhatIsFixedEpochAndStep) {
  JobRow before = NewRow(kId);
  before.epoch = 3;
  ASSERT_TRUE(store_->CreateJob(before, {}).ok());

  ASSERT_TRUE(store_->UpdateJob(FullRow(), {}).ok());

  JobRow expected = FullRow();
  expected.request_id = before.request_id;
  expected.spec_digest = before.spec_digest;
  expected.spec = before.spec;
  expected.name = before.name;
  expected.owner = before.owner;
  expected.created_unix_ms = before.created_unix_ms;
  expected.step = before.step;
  expected.applied = before.applied;
  EXPECT_EQ(store_->GetJob(kId).value(), expected);
}

TEST_F(JobStoreTest, SameRequestGivesTheSameJobAndOtherSpecIsRefused) {
  ASSERT_TRUE(store_->CreateJob(FullRow(), {Event(1)}).ok());
  JobRow again = FullRow();
  again.id = 2;

  const Result<JobStore::Created> repeated = store_->CreateJob(again, {Event(1)});
  ASSERT_TRUE(repeated.ok()) << repeated.status().ToString();
  EXPECT_EQ(repeated.value().id, kId);
  EXPECT_FALSE(repeated.value().is_new);
  EXPECT_EQ(store_->LastSequence(kId).value(), 1);
  EXPECT_EQ(store_->GetJob(2).status().code(), Code::kNotFound);

  again.spec_digest = "digest-2";
  EXPECT_EQ(store_->CreateJob(again, {}).status().code(), Code::kAlreadyExists);
}

TEST_F(JobStoreTest, JobsWithoutRequestIdAreAllDifferentAndIdsAreUnique) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  ASSERT_TRUE(store_->CreateJob(NewRow(2), {}).ok());
  EXPECT_EQ(store_->CreateJob(NewRow(2), {}).status().code(), Code::kAlreadyExists);
}

TEST_F(JobStoreTest, ListsNewestFirst) {
  for (uint64_t id = 1; id <= 3; ++id) {
    JobRow job = NewRow(id);
    job.created_unix_ms = id == 2 ? 50 : 40;
    ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  }

  std::vector<uint64_t> ids;
  const Result<std::vector<JobRow>> jobs = store_->ListJobs();
  for (const JobRow& job : jobs.value()) ids.push_back(job.id);

  EXPECT_EQ(ids, (std::vector<uint64_t>{2, 3, 1}));
}

TEST_F(JobStoreTest, EpochIsCompareAndSet) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());

  EXPECT_TRUE(store_->RaiseEpoch(1, 1, 2).ok());
  const Status late = store_->RaiseEpoch(1, 1, 2);
  EXPECT_EQ(late.code(), Code::kFailedPrecondition);
  EXPECT_NE(late.message().find("in epoch 2, not 1"), std::string::npos) << late.message();
  EXPECT_EQ(store_->RaiseEpoch(1, 2, 2).code(), Code::kInvalidArgument);
  EXPECT_EQ(store_->RaiseEpoch(7, 1, 2).code(), Code::kNotFound);
  EXPECT_EQ(store_->GetJob(1).value().epoch, 2u);
}

TEST_F(JobStoreTest, AnOldEpochChangesNothing) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  ASSERT_TRUE(store_->RaiseEpoch(1, 1, 2).ok());
  const JobRow before = store_->GetJob(1).value();
  JobRow stale = NewRow(1);
  stale.message = "from a zombie";

  EXPECT_EQ(store_->UpdateJob(stale, {Event(1)}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(CommitOne(*store_, stale, 0).code(), Code::kFailedPrecondition);
  EXPECT_EQ(store_->AddCheckpoint(stale, {1, 5, 5, "path", 1, "d", 1, {}}, {}).code(),
            Code::kFailedPrecondition);

  EXPECT_EQ(store_->GetJob(1).value(), before);
  EXPECT_EQ(store_->LastSequence(1).value(), 0);
  EXPECT_EQ(store_->GetCommit(1, 0).status().code(), Code::kNotFound);
}

TEST_F(JobStoreTest, CommitMovesRowCommitAndEventsTogether) {
  const JobRow job = NewRow(1);
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  ASSERT_TRUE(CommitOne(*store_, job, 0).ok());
  JobRow skipped = job;
  skipped.step = 2;
  skipped.applied = 1;
  const CommitRow skip = {1, 1, true, "skip", "culprit"};
  ASSERT_TRUE(store_->CommitStep(skipped, skip, {Event(2), Event(3)}).ok());

  Reopen();

  EXPECT_EQ(store_->GetJob(1).value(), skipped);
  EXPECT_EQ(store_->GetCommit(1, 0).value(), (CommitRow{0, 1, false, "commit 0", "report 0"}));
  EXPECT_EQ(store_->GetCommit(1, 1).value(), skip);
  EXPECT_EQ(store_->ReadEvents(1, 1, 100).value(), (std::vector<EventRow>{Event(2), Event(3)}));
  EXPECT_EQ(store_->ReadEvents(1, 0, 1).value(), (std::vector<EventRow>{Event(1)}));
}

TEST_F(JobStoreTest, AStepIsCommittedOnceAndInOrder) {
  const JobRow job = NewRow(1);
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  ASSERT_TRUE(CommitOne(*store_, job, 0).ok());
  const JobRow before = store_->GetJob(1).value();

  EXPECT_EQ(CommitOne(*store_, job, 0).code(), Code::kFailedPrecondition);
  EXPECT_EQ(CommitOne(*store_, job, 2).code(), Code::kFailedPrecondition);
  JobRow contradicts = job;
  contradicts.step = 5;
  EXPECT_EQ(store_->CommitStep(contradicts, {1, 0, false, "", ""}, {}).code(),
            Code::kInvalidArgument);

  EXPECT_EQ(store_->GetJob(1).value(), before);
  EXPECT_EQ(store_->LastSequence(1).value(), 1);
}

TEST_F(JobStoreTest, EventsHaveNoGaps) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());

  EXPECT_EQ(store_->AppendEvents(1, {Event(2)}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(store_->AppendEvents(1, {Event(1), Event(1)}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(store_->LastSequence(1).value(), 0);
  EXPECT_TRUE(store_->AppendEvents(1, {Event(1), Event(2)}).ok());
  EXPECT_FALSE(store_->AppendEvents(9, {Event(1)}).ok());
}

TEST_F(JobStoreTest, RollBackForgetsLaterCommitsOnly) {
  const JobRow job = NewRow(1);
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  for (int64_t step = 0; step < 5; ++step) ASSERT_TRUE(CommitOne(*store_, job, step).ok());
  JobRow back = job;
  back.step = 3;
  back.applied = 3;

  ASSERT_TRUE(store_->RollBack(back, {Event(6)}).ok());

  EXPECT_EQ(store_->GetJob(1).value().step, 3);
  EXPECT_TRUE(store_->GetCommit(1, 2).ok());
  EXPECT_EQ(store_->GetCommit(1, 3).status().code(), Code::kNotFound);
  EXPECT_EQ(store_->LastSequence(1).value(), 6);
  back.step = 4;
  EXPECT_EQ(store_->RollBack(back, {}).code(), Code::kFailedPrecondition);
  back.step = 4;
  back.applied = 4;
  EXPECT_TRUE(store_->CommitStep(back, {3, 4, false, "again", ""}, {}).ok());
}

TEST_F(JobStoreTest, PlacementsAndCheckpointsAreKeptPerJobAndGoWithIt) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  ASSERT_TRUE(store_->CreateJob(NewRow(2), {}).ok());
  const std::vector<PlacementRow> placements = {{"b", {0, 7}}, {"a", {7, 9}}};
  ASSERT_TRUE(
      store_->SetPlacements(1, {{"old", {0, 9}}, {"older", {0, 1}}, {"oldest", {0, 1}}}).ok());
  ASSERT_TRUE(store_->SetPlacements(1, placements).ok());
  const CheckpointRow early = {1, 50, 49, "/a", 10, "d1", 500, {1, 2, 3, 4, 5, 6}};
  const CheckpointRow late = {1, 100, 99, "/b", 20, "d2", 600, {}};
  const CheckpointRow other = {2, 10, 10, "/c", 30, "d3", 550, {}};
  ASSERT_TRUE(store_->AddCheckpoint(NewRow(1), early, {Event(1)}).ok());
  ASSERT_TRUE(store_->AddCheckpoint(NewRow(1), late, {}).ok());
  ASSERT_TRUE(store_->AddCheckpoint(NewRow(2), other, {}).ok());

  Reopen();

  EXPECT_EQ(store_->GetPlacements(1).value(), placements);
  EXPECT_EQ(store_->ListCheckpoints(1).value(), (std::vector<CheckpointRow>{late, early}));
  EXPECT_EQ(store_->ListCheckpoints().value(), (std::vector<CheckpointRow>{late, other, early}));
  ASSERT_TRUE(store_->RemoveCheckpoint(1, 50).ok());
  EXPECT_EQ(store_->ListCheckpoints(1).value(), (std::vector<CheckpointRow>{late}));
  ASSERT_TRUE(store_->DeleteJob(1).ok());
  EXPECT_TRUE(store_->GetPlacements(1).value().empty());
  EXPECT_EQ(store_->ListCheckpoints().value(), (std::vector<CheckpointRow>{other}));
  EXPECT_EQ(store_->LastSequence(1).value(), 0);
}

TEST_F(JobStoreTest, ASecondCoordinatorIsToldWhy) {
  const Result<std::unique_ptr<JobStore>> second = JobStore::Open(path_);

  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(second.status().message().find("another coordinator has it open"), std::string::npos)
      << second.status().message();
  EXPECT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
}

TEST_F(JobStoreTest, ANewerSchemaIsRefused) {
  store_.reset();
  RunSql(path_, fmt::format("PRAGMA user_version = {}", kJobStoreSchemaVersion + 1).c_str());

  const Status status = JobStore::Open(path_).status();

  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("use the version of Drover that made it"), std::string::npos)
      << status.message();
}

// A store as version 1 made it: without the columns that are new.
TEST_F(JobStoreTest, AStoreOfTheOlderSchemaGoesOn) {
  JobRow job = NewRow(7);
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  store_.reset();
  RunSql(path_,
         "ALTER TABLE jobs DROP COLUMN schedule; ALTER TABLE checkpoints DROP COLUMN schedule; "
         "ALTER TABLE jobs DROP COLUMN train_fingerprint; "
         "ALTER TABLE jobs DROP COLUMN eval_fingerprint; "
         "ALTER TABLE jobs DROP COLUMN owner; "
         "DROP TABLE history; DROP TABLE evaluations; PRAGMA user_version = 1");

  Reopen();

  EXPECT_EQ(store_->GetJob(7).value(), job);
  CheckpointRow checkpoint;
  checkpoint.job = 7;
  checkpoint.schedule = "state";
  ASSERT_TRUE(store_->AddCheckpoint(job, checkpoint, {}).ok());
  Reopen();
  EXPECT_EQ(store_->ListCheckpoints(7).value().at(0).schedule, "state");
}

TEST_F(JobStoreTest, AStoreOfSchemaTwoGoesOnWithoutFingerprints) {
  JobRow job = FullRow();
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  store_.reset();
  RunSql(path_,
         "ALTER TABLE jobs DROP COLUMN train_fingerprint; "
         "ALTER TABLE jobs DROP COLUMN eval_fingerprint; "
         "ALTER TABLE jobs DROP COLUMN owner; "
         "DROP TABLE history; DROP TABLE evaluations; PRAGMA user_version = 2");

  Reopen();

  job.train_fingerprint = 0;
  job.eval_fingerprint = 0;
  job.owner = "local";
  EXPECT_EQ(store_->GetJob(kId).value(), job);
}

TEST_F(JobStoreTest, JobsOfSchemaFourAreNobodysInParticular) {
  JobRow job = FullRow();
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  store_.reset();
  RunSql(path_, "ALTER TABLE jobs DROP COLUMN owner; PRAGMA user_version = 4");

  Reopen();

  job.owner = "local";
  EXPECT_EQ(store_->GetJob(kId).value(), job);
}

TEST_F(JobStoreTest, AnotherProgramsDatabaseIsRefusedAndLeftAlone) {
  const std::string other = directory_ + "/other.db";
  RunSql(other, "CREATE TABLE cookies (name TEXT)");

  EXPECT_EQ(JobStore::Open(other).status().code(), Code::kFailedPrecondition);
  RunSql(other, "INSERT INTO cookies VALUES ('still here')");
}

TEST_F(JobStoreTest, FilesThatAreNoDatabaseAreRefused) {
  const std::string text = directory_ + "/text.db";
  std::ofstream(text) << std::string(5000, 'x');
  EXPECT_EQ(JobStore::Open(text).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(JobStore::Open(directory_ + "/no/such/dir.db").status().code(), Code::kUnavailable);
  std::filesystem::create_symlink(path_, directory_ + "/link.db");
  EXPECT_FALSE(JobStore::Open(directory_ + "/link.db").ok());
}

TEST_F(JobStoreTest, ADamagedFileIsNoticedWhenOpened) {
  for (uint64_t id = 1; id <= 50; ++id) {
    JobRow job = NewRow(id);
    job.message = std::string(3000, 'm');
    ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  }
  store_.reset();
  {
    // Headers of inner pages.
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 2; page < 30; ++page) {
      file.seekp(4096 * page);
      file.write("\x55\x55\x55\x55\x55\x55\x55\x55\x55\x55", 10);
    }
  }

  EXPECT_EQ(JobStore::Open(path_).status().code(), Code::kDataLoss);
}

TEST_F(JobStoreTest, KeepsABoundedNumberOfEvents) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {Event(1)}).ok());
  ASSERT_TRUE(store_->CreateJob(NewRow(2), {Event(1)}).ok());
  std::vector<EventRow> events;
  for (int64_t i = 2; i <= JobStore::kEventsKept; ++i) events.push_back(Event(i));
  ASSERT_TRUE(store_->AppendEvents(1, events).ok());
  EXPECT_EQ(store_->ReadEvents(1, 0, 1).value(), (std::vector<EventRow>{Event(1)}));

  ASSERT_TRUE(store_->AppendEvents(1, {Event(JobStore::kEventsKept + 1)}).ok());

  EXPECT_EQ(store_->ReadEvents(1, 0, 1).value(), (std::vector<EventRow>{Event(2)}));
  EXPECT_EQ(store_->LastSequence(1).value(), JobStore::kEventsKept + 1);
  EXPECT_EQ(store_->ReadEvents(2, 0, 1).value(), (std::vector<EventRow>{Event(1)}));
}

TEST_F(JobStoreTest, KeepsABoundedNumberOfCommits) {
  const JobRow job = NewRow(1);
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  ASSERT_TRUE(CommitOne(*store_, job, 0).ok());
  ASSERT_TRUE(CommitOne(*store_, job, 1).ok());
  store_.reset();
  // As after many more steps.
  RunSql(path_, fmt::format("UPDATE jobs SET step = {0}, applied = {0}; DELETE FROM events",
                            JobStore::kCommitsKept)
                    .c_str());
  Reopen();
  JobRow later = job;
  later.step = JobStore::kCommitsKept + 1;
  later.applied = later.step;

  ASSERT_TRUE(store_->CommitStep(later, {later.step - 1, later.applied, false, "c", "r"}, {}).ok());

  EXPECT_EQ(store_->GetCommit(1, 0).status().code(), Code::kNotFound);
  EXPECT_TRUE(store_->GetCommit(1, 1).ok());
}

TEST_F(JobStoreTest, AStoreOfSchemaThreeGoesOnWithItsCommitsAsHistory) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  ASSERT_TRUE(CommitOne(*store_, NewRow(1), 0).ok());
  store_.reset();
  RunSql(path_,
         "ALTER TABLE jobs DROP COLUMN owner; DROP TABLE history; DROP TABLE evaluations; "
         "PRAGMA user_version = 3");

  Reopen();

  ASSERT_TRUE(CommitOne(*store_, NewRow(1), 1).ok());
  EXPECT_EQ(NumbersOf(store_->ReadSteps(1, 0, 100)), (std::vector<int64_t>{0, 1}));
}

// Commits steps until it is killed, telling each step that the store has promised to keep.
[[noreturn]] void CommitForEver(const std::string& path, int report) {
  Result<std::unique_ptr<JobStore>> store = JobStore::Open(path);
  if (!store.ok()) _exit(2);
  for (int64_t step = store.value()->GetJob(1).value().step;; ++step) {
    if (!CommitOne(*store.value(), NewRow(1), step).ok()) _exit(3);
    if (write(report, &step, sizeof(step)) != sizeof(step)) _exit(4);
  }
}

TEST_F(JobStoreTest, AKillAtAnyMomentLosesNoPromiseAndLeavesNoHalf) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  for (int round = 0; round < 10; ++round) {
    store_.reset();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) CommitForEver(path_, ends[1]);
    close(ends[1]);
    int64_t promised = -1;
    for (int i = 0; i <= 3 * round; ++i) {
      ASSERT_EQ(read(ends[0], &promised, sizeof(promised)), ssize_t{sizeof(promised)});
    }
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
    for (int64_t step; read(ends[0], &step, sizeof(step)) == sizeof(step);) promised = step;
    close(ends[0]);

    Reopen();

    const JobRow job = store_->GetJob(1).value();
    EXPECT_GE(job.step, promised + 1);
    EXPECT_LE(job.step, promised + 2);
    EXPECT_EQ(job.ledger.leaves_counted, 32 * job.step);
    EXPECT_EQ(store_->LastSequence(1).value(), job.step);
    EXPECT_TRUE(store_->GetCommit(1, job.step - 1).ok());
    EXPECT_FALSE(store_->GetCommit(1, job.step).ok());
  }
}

TEST_F(JobStoreTest, AnExitInTheMiddleOfATransactionUndoesIt) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  const JobRow before = store_->GetJob(1).value();
  store_.reset();
  const pid_t child = fork();
  if (child == 0) {
    sqlite3* db = nullptr;
    sqlite3_open(path_.c_str(), &db);
    // A cache of one page: the pages of the transaction go to the file before its commit.
    sqlite3_exec(db,
                 "PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE jobs SET step = 9;"
                 "INSERT INTO events SELECT '0000000000000001', value, 0, randomblob(9000) "
                 "FROM json_each('[1,2,3,4,5,6,7,8,9]')",
                 nullptr, nullptr, nullptr);
    _exit(sqlite3_get_autocommit(db));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 0);

  Reopen();

  EXPECT_EQ(store_->GetJob(1).value(), before);
  EXPECT_EQ(store_->LastSequence(1).value(), 0);
}

// SQLite writes through these while a test wants it to fail.
int g_write_errno = 0;
ssize_t FailingWrite(int, const void*, size_t) {
  errno = g_write_errno;
  return -1;
}
ssize_t FailingPwrite(int, const void*, size_t, off_t) {
  errno = g_write_errno;
  return -1;
}

// Every write of SQLite fails with `error`; 0 = works again.
void BreakWrites(int error) {
  g_write_errno = error;
  sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  const auto failing_write = reinterpret_cast<sqlite3_syscall_ptr>(FailingWrite);
  const auto failing_pwrite = reinterpret_cast<sqlite3_syscall_ptr>(FailingPwrite);
  vfs->xSetSystemCall(vfs, "write", error == 0 ? nullptr : failing_write);
  vfs->xSetSystemCall(vfs, "pwrite", error == 0 ? nullptr : failing_pwrite);
  vfs->xSetSystemCall(vfs, "pwrite64", error == 0 ? nullptr : failing_pwrite);
}

TEST_F(JobStoreTest, AFullOrBrokenDiskIsNamedAndTheStoreGoesOnAfterwards) {
  const JobRow job = NewRow(1);
  ASSERT_TRUE(store_->CreateJob(job, {}).ok());
  for (const auto& [error, code] :
       {std::pair(ENOSPC, Code::kResourceExhausted), std::pair(EIO, Code::kUnavailable)}) {
    const JobRow before = store_->GetJob(1).value();

    BreakWrites(error);
    const Status failed = CommitOne(*store_, job, before.step);
    BreakWrites(0);

    EXPECT_EQ(failed.code(), code) << failed.ToString();
    EXPECT_EQ(store_->GetJob(1).value(), before);
    EXPECT_TRUE(CommitOne(*store_, job, before.step).ok());
  }
  Reopen();
  EXPECT_EQ(store_->GetJob(1).value().step, 2);
  EXPECT_EQ(store_->LastSequence(1).value(), 2);
}

}  // namespace
}  // namespace drover
