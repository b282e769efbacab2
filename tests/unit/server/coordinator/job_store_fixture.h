// A job store in a folder of its own, and the smallest rows that it takes. One thread.

#ifndef DROVER_TESTS_UNIT_SERVER_COORDINATOR_JOB_STORE_FIXTURE_H_
#define DROVER_TESTS_UNIT_SERVER_COORDINATOR_JOB_STORE_FIXTURE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/coordinator/job_store.h"

namespace drover {

class JobStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "job_store_test_" + std::to_string(getpid());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    path_ = directory_ + "/jobs.db";
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Reopen() {
    store_.reset();
    Result<std::unique_ptr<JobStore>> store = JobStore::Open(path_);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = std::move(store).value();
  }

  std::string directory_;
  std::string path_;
  std::unique_ptr<JobStore> store_;
};

// Runs SQL on the closed store.
inline void RunSql(const std::string& path, const char* sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

inline JobRow NewRow(uint64_t id) {
  JobRow job;
  job.id = id;
  job.name = fmt::format("job-{}", id);
  job.epoch = 1;
  return job;
}

inline EventRow Event(int64_t sequence) {
  return {sequence, 1000 + sequence, fmt::format("event {}", sequence)};
}

// Commits step `step` of a job whose steps are all applied, with one event.
inline Status CommitOne(JobStore& store, JobRow job, int64_t step) {
  job.step = step + 1;
  job.applied = step + 1;
  job.ledger.leaves_counted = 32 * (step + 1);
  const CommitRow commit = {step, step + 1, false, fmt::format("commit {}", step),
                            fmt::format("report {}", step)};
  return store.CommitStep(job, commit, {Event(step + 1)});
}

inline std::vector<int64_t> NumbersOf(const Result<std::vector<ReportRow>>& rows) {
  EXPECT_TRUE(rows.ok()) << rows.status().ToString();
  std::vector<int64_t> numbers;
  for (const ReportRow& row : rows.value()) numbers.push_back(row.at);
  return numbers;
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_COORDINATOR_JOB_STORE_FIXTURE_H_
