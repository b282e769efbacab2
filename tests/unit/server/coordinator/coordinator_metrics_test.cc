#include "server/coordinator/coordinator_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kJob = 0xab;
constexpr char kLabel[] = "train_job=\"00000000000000ab\"";

class CoordinatorMetricsTest : public ::testing::Test {
 protected:
  CoordinatorMetricsTest() {
    record_.id = kJob;
    record_.name = "digits";
    record_.plan = SmallPlan();
    record_.layout = SmallLayout();
    record_.numeric_class = "cpu";
    record_.train_samples = 640;
    metrics_.OnEvent(JobAdded{record_, /*restored=*/false});
  }

  void SetState(JobState state) {
    record_.state = state;
    metrics_.OnAction(SaveJob{record_});
    metrics_.OnAction(StateEvent{kJob, state});
  }

  // The line `name{...} value` of this job, with `labels` in front of the job's.
  std::string Line(const std::string& name, const std::string& labels, const std::string& value) {
    return "\n" + name + "{" + labels + (labels.empty() ? "" : ",") + kLabel + "} " + value + "\n";
  }

  static StepSummary LambStep() {
    StepSummary summary;
    summary.applied = 1;
    summary.loss = 2.5;
    summary.samples = 64;
    summary.learning_rate = 0.5;
    summary.gradient_norm = 4;
    summary.clip_factor = 0.25;
    summary.seconds = 2;
    summary.gradient_norms = {3, 1};
    summary.weight_norms = {3, 4};
    summary.direction_norms = {6, 8};
    summary.trust_ratios = {1, 1};
    summary.adapted = {true, false};
    summary.update_norm = 5;
    summary.limited_max = 1;
    return summary;
  }

  StillClock clock_;
  MetricRegistry registry_{MetricRole::kCoordinator};
  CoordinatorMetrics metrics_{&registry_, &clock_};
  JobRecord record_;
};

TEST_F(CoordinatorMetricsTest, AQueuedJobHasNoSeries) {
  SetState(JobState::kQueued);

  EXPECT_THAT(registry_.Render(), Not(HasSubstr(kLabel)));
}

TEST_F(CoordinatorMetricsTest, EveryValueOfAStepComesFromItsCommit) {
  SetState(JobState::kRunning);
  record_.version = 1;
  metrics_.OnAction(SaveCommit{record_, {}, LambStep()});

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr(Line("drover_steps_total", "", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_samples_total", "", "64")));
  EXPECT_THAT(text, HasSubstr(Line("drover_leaves_counted_total", "", "4")));
  EXPECT_THAT(text, HasSubstr(Line("drover_loss", "split=\"train\"", "2.5")));
  EXPECT_THAT(text, HasSubstr(Line("drover_learning_rate", "", "0.5")));
  EXPECT_THAT(text, HasSubstr(Line("drover_gradient_norm", "", "4")));
  EXPECT_THAT(text, HasSubstr(Line("drover_gradient_clips_total", "", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_weight_norm", "", "5")));  // sqrt(3^2 + 4^2)
  EXPECT_THAT(text, HasSubstr(Line("drover_update_norm", "", "5")));
  EXPECT_THAT(text, HasSubstr(Line("drover_trust_ratio_count", "", "1")));  // Adapted ones.
  EXPECT_THAT(text, HasSubstr(Line("drover_trust_ratio_limited_total", "limit=\"max\"", "1")));
  EXPECT_THAT(text, HasSubstr("tensor=\"fc.weight\""));
  EXPECT_THAT(text, HasSubstr(Line("drover_job_data_passes", "", "0.1")));  // 64 of 640.
  EXPECT_THAT(text, HasSubstr(Line("drover_job_step", "", "1")));
}

TEST_F(CoordinatorMetricsTest, ASkippedStepIsNotAStep) {
  SetState(JobState::kRunning);
  StepSummary summary;
  summary.skipped = true;
  summary.skip_reason = "leaf 3: out of range in tensor fc.weight";
  metrics_.OnAction(SaveCommit{record_, {}, summary});

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr(Line("drover_steps_total", "", "0")));
  EXPECT_THAT(text, HasSubstr(Line("drover_step_skipped_total", "reason=\"range\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_step_skipped_total", "reason=\"nonfinite\"", "0")));
}

TEST_F(CoordinatorMetricsTest, CountsOfTheCoreAreCountedByKind) {
  using What = CountEvent::What;
  SetState(JobState::kRunning);
  metrics_.OnAction(CountEvent{kJob, What::kLeaseFirst, 8});
  metrics_.OnAction(CountEvent{kJob, What::kLeaseDone, 0.5});
  metrics_.OnAction(CountEvent{kJob, What::kLeaseExpired, 1});
  metrics_.OnAction(CountEvent{kJob, What::kRefusedEpoch, 1});
  metrics_.OnAction(CountEvent{kJob, What::kTakeoverShard, 1});

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr(Line("drover_leases_granted_total", "kind=\"first\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_lease_leaves_sum", "", "8")));
  EXPECT_THAT(text, HasSubstr(Line("drover_leases_ended_total", "outcome=\"done\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_lease_duration_seconds_sum", "", "0.5")));
  EXPECT_THAT(text, HasSubstr(Line("drover_leases_ended_total", "outcome=\"expired\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_refused_messages_total", "reason=\"epoch\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_job_takeovers_total", "reason=\"shard\"", "1")));
}

TEST_F(CoordinatorMetricsTest, CheckpointsGoodAndBad) {
  SetState(JobState::kRunning);
  metrics_.OnAction(
      SaveCheckpoint{{5, 5, "/c", 1000, std::string(52, 'f') + "00000000000a", {}}, kJob});
  ManifestCommitted failed;
  failed.job = kJob;
  failed.error = "disk full";
  metrics_.OnEvent(failed);

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoints_total", "outcome=\"ok\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoints_total", "outcome=\"error\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoint_last_step", "", "5")));
  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoint_size_bytes", "", "1000")));
  EXPECT_THAT(text, HasSubstr(Line("drover_job_weights_digest", "", "10")));  // Low 48 bits.
}

TEST_F(CoordinatorMetricsTest, SeriesOfAnEndedJobGoAfterAWhile) {
  const Coordinator core({});
  SetState(JobState::kRunning);
  clock_.Advance(10'000);
  SetState(JobState::kSucceeded);
  clock_.Advance(60'000);
  metrics_.OnTick(core);
  EXPECT_THAT(registry_.Render(), HasSubstr(Line("drover_job_active", "", "0")));
  EXPECT_THAT(registry_.Render(),
              HasSubstr("drover_job_runtime_seconds_sum{outcome=\"succeeded\"} 10\n"));

  clock_.Advance(300'000);
  metrics_.OnTick(core);

  EXPECT_THAT(registry_.Render(), Not(HasSubstr(kLabel)));
}

TEST_F(CoordinatorMetricsTest, LeafFailuresNameTheWorker) {
  SetState(JobState::kRunning);
  metrics_.OnEvent(WorkerJoined{7, "w1", "cpu", 1});
  metrics_.OnEvent(LeaseFailed{7, {kJob, 1, 0}, 1, 0, "fc.weight", "nan"});
  metrics_.OnEvent(LeaseFailed{8, {kJob, 1, 0}, 1, 0, "fc.weight", "nan"});  // Nobody.

  EXPECT_THAT(registry_.Render(), HasSubstr("worker=\"w1\"} 1\n"));
}

TEST_F(CoordinatorMetricsTest, JobsAndShardsAreGaugesOfTheCore) {
  Coordinator core({});
  core.Handle(JobAdded{record_, false}, clock_.Now());
  metrics_.OnEvent(ShardJoined{1, "s1", 1, "127.0.0.1:1"});
  metrics_.OnTick(core);

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr("drover_jobs{state=\"starting\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("drover_jobs{state=\"failed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("drover_shards{state=\"ready\"} 1\n"));
}

}  // namespace
}  // namespace drover
