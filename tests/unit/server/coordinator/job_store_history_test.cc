// What the store keeps of steps and evaluations that are long past: server/coordinator/job_store.h.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/coordinator/job_store.h"
#include "tests/unit/server/coordinator/job_store_fixture.h"

namespace drover {
namespace {

using JobStoreHistoryTest = JobStoreTest;

// As after so many steps, all applied, whose commits are forgotten.
std::string PretendSteps(int64_t steps) {
  return fmt::format("UPDATE jobs SET step = {0}, applied = {0}; DELETE FROM commits", steps);
}

TEST_F(JobStoreHistoryTest, TheHistoryIsReadInPages) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  for (int64_t step = 0; step < 5; ++step) ASSERT_TRUE(CommitOne(*store_, NewRow(1), step).ok());

  EXPECT_EQ(store_->ReadSteps(1, 0, 2).value(),
            (std::vector<ReportRow>{{0, "report 0"}, {1, "report 1"}}));
  EXPECT_EQ(NumbersOf(store_->ReadSteps(1, 3, 100)), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(NumbersOf(store_->SampleSteps(1, 3)), (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(NumbersOf(store_->SampleSteps(1, 100)), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(NumbersOf(store_->SampleSteps(2, 100)), std::vector<int64_t>());
}

TEST_F(JobStoreHistoryTest, AReportOutlivesItsCommit) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  ASSERT_TRUE(CommitOne(*store_, NewRow(1), 0).ok());
  ASSERT_TRUE(CommitOne(*store_, NewRow(1), 1).ok());
  store_.reset();
  RunSql(path_, fmt::format("UPDATE jobs SET step = {0}, applied = {0}; DELETE FROM events",
                            JobStore::kCommitsKept)
                    .c_str());
  Reopen();
  JobRow later = NewRow(1);
  later.step = later.applied = JobStore::kCommitsKept + 1;
  ASSERT_TRUE(store_->CommitStep(later, {later.step - 1, later.applied, false, "c", "r"}, {}).ok());

  EXPECT_EQ(
      store_->ReadSteps(1, 0, 100).value(),
      (std::vector<ReportRow>{{0, "report 0"}, {1, "report 1"}, {JobStore::kCommitsKept, "r"}}));
  later.step = later.applied = 0;
  ASSERT_TRUE(store_->RollBack(later, {}).ok());
  EXPECT_EQ(NumbersOf(store_->ReadSteps(1, 0, 100)), std::vector<int64_t>());
}

// Written out: the first stride that leaves at most 4 of the steps from 0.
TEST(HistoryStrideTest, DoublesAsTheJobGrows) {
  const int64_t expected[] = {1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 8};
  for (int64_t step = 0; step < 17; ++step) EXPECT_EQ(HistoryStride(step, 4), expected[step]);
  EXPECT_EQ(HistoryStride(1'000'000, JobStore::kHistoryKept), 64);
}

TEST_F(JobStoreHistoryTest, TheHistoryIsThinnedWhenItsStrideDoubles) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  store_.reset();
  const int64_t edge = JobStore::kHistoryKept;  // The first step with a stride of 2.
  const int64_t first_open = edge + JobStore::kCommitsKept;
  RunSql(path_, (PretendSteps(first_open) +
                 fmt::format("; WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s "
                             "WHERE i < {}) INSERT INTO history SELECT '{:016x}', i, x'00' FROM s;"
                             "WITH RECURSIVE s(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM s "
                             "WHERE i < {}) INSERT INTO commits SELECT '{:016x}', i, i, 0, x'00', "
                             "x'00' FROM s",
                             edge - 1, 1, edge, first_open - 1, 1))
                    .c_str());
  Reopen();

  for (int64_t step = first_open; step < first_open + 3; ++step) {
    JobRow job = NewRow(1);
    job.step = job.applied = step + 1;
    ASSERT_TRUE(store_->CommitStep(job, {step, step + 1, false, "c", "r"}, {}).ok());
  }

  const std::vector<int64_t> kept = NumbersOf(store_->ReadSteps(1, 0, 1'000'000));
  std::vector<int64_t> expected;
  for (int64_t step = 0; step <= edge + 2; step += 2) expected.push_back(step);
  for (int64_t step = edge + 3; step < first_open + 3; ++step) expected.push_back(step);
  EXPECT_EQ(kept, expected);
}

TEST_F(JobStoreHistoryTest, EvaluationsAreKeptUntilTheyAreRolledBack) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  for (int64_t step = 0; step < 6; ++step) ASSERT_TRUE(CommitOne(*store_, NewRow(1), step).ok());
  const auto evaluate = [this](int64_t sequence, int64_t version, const std::string& report) {
    EventRow event = Event(sequence);
    event.evaluated_version = version;
    event.evaluation = report;
    return store_->AppendEvents(1, {event});
  };
  ASSERT_TRUE(evaluate(7, 2, "two").ok());
  ASSERT_TRUE(evaluate(8, 4, "four").ok());
  ASSERT_TRUE(evaluate(9, 6, "six").ok());
  ASSERT_TRUE(evaluate(10, 6, "six again").ok());

  EXPECT_EQ(store_->ReadEvaluations(1, 3, 100).value(),
            (std::vector<ReportRow>{{4, "four"}, {6, "six again"}}));
  EXPECT_EQ(NumbersOf(store_->SampleEvaluations(1, 2)), (std::vector<int64_t>{2, 6}));

  JobRow back = NewRow(1);
  back.step = back.applied = 4;
  ASSERT_TRUE(store_->RollBack(back, {}).ok());
  EXPECT_EQ(NumbersOf(store_->ReadEvaluations(1, 0, 100)), (std::vector<int64_t>{2, 4}));
  ASSERT_TRUE(store_->DeleteJob(1).ok());
  EXPECT_EQ(NumbersOf(store_->ReadEvaluations(1, 0, 100)), std::vector<int64_t>());
}

TEST_F(JobStoreHistoryTest, TooManyEvaluationsAreThinnedFromTheNewest) {
  ASSERT_TRUE(store_->CreateJob(NewRow(1), {}).ok());
  store_.reset();
  RunSql(path_, fmt::format("WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE "
                            "i < {}) INSERT INTO evaluations SELECT '{:016x}', i, x'00' FROM s",
                            JobStore::kEvaluationsKept, 1)
                    .c_str());
  Reopen();
  EventRow event = Event(1);
  event.evaluated_version = JobStore::kEvaluationsKept + 1;
  event.evaluation = "new";

  ASSERT_TRUE(store_->AppendEvents(1, {event}).ok());

  const std::vector<int64_t> kept = NumbersOf(store_->ReadEvaluations(1, 0, 1'000'000));
  ASSERT_EQ(kept.size(), size_t{JobStore::kEvaluationsKept / 2 + 1});
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i], 2 * static_cast<int64_t>(i) + 1);
}

}  // namespace
}  // namespace drover
