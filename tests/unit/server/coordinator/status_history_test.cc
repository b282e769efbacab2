#include "server/coordinator/status_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace drover {
namespace {

using ::testing::HasSubstr;

// Has nothing but events and points of charts.
class EventDesk final : public JobDesk {
 public:
  Result<std::string> FindOwned(const std::string&, const std::string&) override {
    return Unused();
  }
  Result<Created> Create(const std::string&, const v1::JobSpec&, const JobPlan&,
                         const std::string&) override {
    return Unused();
  }
  Result<v1::Job> Get(const std::string&) override { return Unused(); }
  Result<std::vector<v1::Job>> List() override { return Unused(); }
  Result<v1::Job> Ask(const std::string&, JobVerb) override { return Unused(); }
  Status Delete(const std::string&) override { return Unused(); }
  Result<std::vector<v1::CheckpointInfo>> Checkpoints(const std::string&) override {
    return Unused();
  }
  Result<std::vector<v1::JobEvent>> ReadEvents(const std::string& /*id*/, int64_t after_sequence,
                                               int64_t count_max) override {
    if (!failure_.ok()) return failure_;
    std::vector<v1::JobEvent> found;
    for (const v1::JobEvent& event : events_) {
      if (event.sequence() <= after_sequence) continue;
      if (std::cmp_equal(found.size(), count_max)) break;
      found.push_back(event);
    }
    read_ += found.size();
    return found;
  }
  Result<History> ReadMetrics(const std::string&, int64_t, int64_t) override { return Unused(); }
  Result<History> ReadMetricsPoints(const std::string& /*id*/, int64_t /*points*/) override {
    return history_;
  }
  void WaitForEvent(const std::string&, int64_t, std::chrono::nanoseconds) override {}

  v1::JobEvent* Add() {
    events_.emplace_back().set_sequence(static_cast<int64_t>(events_.size()));
    return &events_.back();
  }
  void AddStep(int64_t step) { Add()->mutable_step()->set_step(step); }

  std::vector<v1::JobEvent> events_;
  History history_;
  size_t read_ = 0;
  Status failure_;

 private:
  static Status Unused() { return Status(Code::kUnimplemented, "not in this test"); }
};

class StatusHistoryTest : public ::testing::Test {
 protected:
  StatusFacts Read(const std::string& id = "a") {
    StatusFacts facts;
    EXPECT_TRUE(history_.Read(id, &facts).ok());
    return facts;
  }

  EventDesk desk_;
  StatusHistory history_{&desk_};
};

TEST_F(StatusHistoryTest, ChartsShowWhatTheStepsAndEvaluationsReported) {
  v1::StepReport& step = desk_.history_.steps.emplace_back();
  step.set_step(7);
  step.set_loss(0.5);
  step.set_trust_ratio_max(3);
  desk_.history_.steps.emplace_back().set_skipped(true);  // Has no figures.
  v1::EvalReport& evaluation = desk_.history_.evaluations.emplace_back();
  evaluation.set_version(8);
  evaluation.set_accuracy(0.75);

  const StatusFacts facts = Read();

  ASSERT_EQ(facts.steps.size(), 1u);
  EXPECT_EQ(facts.steps[0].step, 7);
  EXPECT_EQ(facts.steps[0].loss, 0.5);
  EXPECT_EQ(facts.steps[0].ratio_max, 3);
  EXPECT_TRUE(std::isnan(facts.steps[0].noise_scale));
  ASSERT_EQ(facts.evals.size(), 1u);
  EXPECT_EQ(facts.evals[0].step, 8);
  EXPECT_EQ(facts.evals[0].accuracy, 0.75);
}

TEST_F(StatusHistoryTest, OnlyNewEventsAreRead) {
  for (int step = 0; step < 100; ++step) desk_.AddStep(step);
  Read();
  desk_.AddStep(100);
  desk_.read_ = 0;

  Read();
  EXPECT_EQ(desk_.read_, 1u);
}

TEST_F(StatusHistoryTest, EventsForPeopleBecomeLines) {
  v1::LogLine* const log = desk_.Add()->mutable_log();
  log->set_level("warning");
  log->set_task("worker/w0");
  log->set_text("late");
  desk_.Add()->set_state(v1::JOB_STATE_RUNNING);
  desk_.AddStep(0);  // Says nothing.
  v1::StepReport* const skipped = desk_.Add()->mutable_step();
  skipped->set_step(1);
  skipped->set_skipped(true);
  skipped->set_skip_reason("leaf 3: NaN");

  const StatusFacts facts = Read();

  ASSERT_EQ(facts.lines.size(), 3u);
  EXPECT_EQ(facts.lines[0].task, "worker/w0");
  EXPECT_EQ(facts.lines[1].text, "the job is RUNNING");
  EXPECT_EQ(facts.lines[2].text, "step 1 skipped: leaf 3: NaN");
}

TEST_F(StatusHistoryTest, OldLinesGo) {
  for (int i = 0; i < 100; ++i) desk_.Add()->mutable_log()->set_text(std::to_string(i));

  const std::vector<StatusLine> lines = Read().lines;

  ASSERT_EQ(lines.size(), StatusHistory::kLinesMax);
  EXPECT_EQ(lines.back().text, "99");
}

TEST_F(StatusHistoryTest, OfFewJobsOnly) {
  desk_.AddStep(0);
  for (const char* id : {"a", "b", "c", "d", "e"}) Read(id);
  desk_.read_ = 0;

  Read("e");
  EXPECT_EQ(desk_.read_, 0u);
  Read("a");  // Was pushed out.
  EXPECT_EQ(desk_.read_, 1u);
}

TEST_F(StatusHistoryTest, ErrorsOfTheStoreAreHandedOn) {
  desk_.failure_ = Status(Code::kDataLoss, "event 3 cannot be read");

  StatusFacts facts;
  EXPECT_THAT(history_.Read("a", &facts).message(), HasSubstr("event 3"));
}

}  // namespace
}  // namespace drover
