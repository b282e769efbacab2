// What several tests of this folder need: a clock that stands still, a job store in a folder of its
// own, a small job. One thread, but for the clock.

#ifndef DROVER_TESTS_UNIT_SERVER_COORDINATOR_COORDINATOR_FIXTURE_H_
#define DROVER_TESTS_UNIT_SERVER_COORDINATOR_COORDINATOR_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "proto/drover/v1/job.pb.h"
#include "server/coordinator/job.h"
#include "server/coordinator/job_store.h"
#include "server/spec.h"

namespace drover {

class StillClock final : public Clock {
 public:
  Instant Now() const override { return {std::chrono::milliseconds(milliseconds_)}; }
  int64_t UnixMilliseconds() const override { return 1'700'000'000'000 + milliseconds_; }
  void Advance(int64_t milliseconds) { milliseconds_ += milliseconds; }

 private:
  std::atomic<int64_t> milliseconds_ = 1'000'000;
};

// A folder that goes when the test ends.
class TestFolder {
 public:
  explicit TestFolder(const std::string& name)
      : path_(::testing::TempDir() + name + "_" + std::to_string(getpid())) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

inline std::unique_ptr<JobStore> OpenStore(const TestFolder& folder) {
  Result<std::unique_ptr<JobStore>> store = JobStore::Open(folder.path() + "/jobs.sqlite");
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return std::move(store).value();
}

// 40 steps of 64 samples in 4 leaves.
inline v1::JobSpec SmallSpec(const std::string& name = "digits") {
  v1::JobSpec spec;
  spec.set_name(name);
  spec.mutable_model()->mutable_mlp()->add_hidden(8);
  spec.mutable_dataset()->mutable_synthetic_digits();
  spec.set_batch(64);
  spec.set_leaves(4);
  spec.set_micro_batch(16);
  spec.set_steps(40);
  spec.mutable_optimizer()->mutable_lamb();
  spec.mutable_schedule()->set_peak(0.02);
  (*spec.mutable_labels())["team"] = "a";
  (*spec.mutable_labels())["run"] = "b";
  return WithDefaults(spec, PlanJob(spec).value());
}

inline JobPlan SmallPlan() { return PlanJob(SmallSpec()).value(); }

inline std::shared_ptr<const Layout> SmallLayout() {
  return std::make_shared<const Layout>(
      Layout::Make(
          {{"fc.weight", {300, 300}, {InitRule::Kind::kUniform, 0.5f}}, {"fc.bias", {300}, {}}})
          .value());
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_COORDINATOR_COORDINATOR_FIXTURE_H_
