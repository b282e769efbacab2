#include "server/coordinator/status_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace drover {
namespace {

using ::testing::HasSubstr;

// Has nothing but events.
class EventDesk final : public JobDesk {
 public:
  Result<Created> Create(const std::string&, const v1::JobSpec&, const JobPlan&) override {
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
  void WaitForEvent(const std::string&, int64_t, std::chrono::nanoseconds) override {}

  v1::JobEvent* Add() {
    events_.emplace_back().set_sequence(static_cast<int64_t>(events_.size()));
    return &events_.back();
  }
  void AddStep(int64_t step) {
    v1::StepReport* const report = Add()->mutable_step();
    report->set_step(step);
    report->set_loss(static_cast<double>(step));
  }

  std::vector<v1::JobEvent> events_;
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

TEST_F(StatusHistoryTest, AFewStepsAreAllThere) {
  for (int step = 0; step < 5; ++step) desk_.AddStep(step);
  desk_.Add()->mutable_eval()->set_version(5);

  const StatusFacts facts = Read();

  ASSERT_EQ(facts.steps.size(), 5u);
  EXPECT_EQ(facts.steps[4].loss, 4);
  ASSERT_EQ(facts.evals.size(), 1u);
  EXPECT_EQ(facts.evals[0].step, 5);
}

TEST_F(StatusHistoryTest, ManyStepsAreThinnedEvenlyAndEndWithTheNewest) {
  for (int step = 0; step < 10'000; ++step) desk_.AddStep(step);

  const std::vector<StatusStep> steps = Read().steps;

  EXPECT_LE(steps.size(), StatusHistory::kPointsMax);
  EXPECT_GE(steps.size(), StatusHistory::kPointsMax / 2);
  EXPECT_EQ(steps.front().step, 0);
  EXPECT_EQ(steps.back().step, 9'999);
  for (size_t i = 0; i + 1 < steps.size(); ++i)
    EXPECT_EQ(steps[i].step, 64 * static_cast<int64_t>(i));
}

TEST_F(StatusHistoryTest, OnlyNewEventsAreRead) {
  for (int step = 0; step < 100; ++step) desk_.AddStep(step);
  Read();
  desk_.AddStep(100);
  desk_.read_ = 0;

  EXPECT_EQ(Read().steps.size(), 101u);
  EXPECT_EQ(desk_.read_, 1u);
}

TEST_F(StatusHistoryTest, AJobThatWentBackMakesItsStepsAgain) {
  for (const int step : {0, 1, 2, 3, 4, 2, 3}) desk_.AddStep(step);

  const std::vector<StatusStep> steps = Read().steps;

  ASSERT_EQ(steps.size(), 4u);
  for (size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i].step, static_cast<int64_t>(i));
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
  EXPECT_EQ(facts.steps.size(), 1u);  // A skipped step has no figures.
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
