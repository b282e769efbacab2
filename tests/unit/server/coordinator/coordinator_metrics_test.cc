#include "server/coordinator/coordinator_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
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
    summary.weight_norm = 5;
    summary.update_norm = 6;
    summary.noise_scale = 7;
    summary.tokens = 8;
    summary.limited_max = 1;
    return summary;
  }

  // As the runtime does it.
  void Tell(Coordinator* core, const CoordinatorEvent& event) {
    metrics_.OnEvent(event);
    for (const CoordinatorAction& action : core->Handle(event, clock_.Now())) {
      metrics_.OnAction(action);
    }
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
  EXPECT_THAT(text, HasSubstr(Line("drover_gradient_noise_scale", "", "7")));
  EXPECT_THAT(text, HasSubstr(Line("drover_tokens_total", "", "8")));
  EXPECT_THAT(text, HasSubstr(Line("drover_weight_norm", "", "5")));
  EXPECT_THAT(text, HasSubstr(Line("drover_update_norm", "", "6")));
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
  metrics_.OnAction(CountEvent{kJob, What::kLeaseReturned, 1});
  metrics_.OnAction(CountEvent{kJob, What::kRefusedEpoch, 1});
  metrics_.OnAction(CountEvent{kJob, What::kTakeoverShard, 1});

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr(Line("drover_leases_granted_total", "kind=\"first\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_lease_leaves_sum", "", "8")));
  EXPECT_THAT(text, HasSubstr(Line("drover_leases_ended_total", "outcome=\"done\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_lease_duration_seconds_sum", "", "0.5")));
  EXPECT_THAT(text, HasSubstr(Line("drover_leases_ended_total", "outcome=\"expired\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_leases_ended_total", "outcome=\"returned\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_refused_messages_total", "reason=\"epoch\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_job_takeovers_total", "reason=\"shard\"", "1")));
}

TEST_F(CoordinatorMetricsTest, CheckpointsGoodAndBad) {
  SetState(JobState::kRunning);
  metrics_.OnAction(
      SaveCheckpoint{{5, 5, "/c", 1000, std::string(52, 'f') + "00000000000a", {}}, kJob});
  using What = CountEvent::What;
  metrics_.OnAction(CountEvent{kJob, What::kCheckpointError, 1});
  metrics_.OnAction(CountEvent{kJob, What::kCheckpointAbandoned, 1});
  metrics_.OnAction(CountEvent{kJob, What::kCheckpointQuarantined, 1});

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoints_total", "outcome=\"ok\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoints_total", "outcome=\"error\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoints_total", "outcome=\"abandoned\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line("drover_checkpoints_quarantined_total", "", "1")));
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

TEST_F(CoordinatorMetricsTest, AWorkerIsDescribedByItsDeviceAndClass) {
  SetState(JobState::kStarting);
  metrics_.OnEvent(WorkerJoined{7, "w1", "cpu onednn", 1});
  metrics_.OnEvent(ModelDescribed{7, kJob, 1, record_.layout, 640, 64, ""});
  const std::string series = "drover_worker_info{device=\"cpu\",numeric_class=\"cpu onednn\"," +
                             std::string(kLabel) + ",worker=\"w1\"} ";
  EXPECT_THAT(registry_.Render(), HasSubstr(series + "1\n"));

  ModelDescribed again{7, kJob, 1, record_.layout, 640, 64, ""};
  again.numeric_class = "cuda H100 sm_90";
  metrics_.OnEvent(again);

  EXPECT_THAT(registry_.Render(), HasSubstr(series + "0\n"));
  EXPECT_THAT(registry_.Render(), HasSubstr("device=\"cuda\",numeric_class=\"cuda H100 sm_90\""));
}

TEST_F(CoordinatorMetricsTest, AWorkerThatCannotServeIsNotDescribed) {
  SetState(JobState::kStarting);
  metrics_.OnEvent(WorkerJoined{7, "w1", "cpu", 1});
  metrics_.OnEvent(ModelDescribed{7, kJob, 1, nullptr, 0, 0, "no such file"});

  EXPECT_THAT(registry_.Render(), Not(HasSubstr("drover_worker_info{")));
}

TEST_F(CoordinatorMetricsTest, AWorkerThatWentWithoutAWordIsLostUntilItComesBackOrForAWhile) {
  Coordinator core({});
  Tell(&core, ShardJoined{9, "s1", 1, "127.0.0.1:1"});
  Tell(&core, JobAdded{record_, false});
  const auto expect = [&](const std::string& state, const std::string& count) {
    clock_.Advance(1'000);
    metrics_.OnTick(core);
    EXPECT_THAT(registry_.Render(), HasSubstr("drover_workers{state=\"" + state + "\"," + kLabel +
                                              "} " + count + "\n"));
  };
  for (const SessionId worker : {1, 2, 3}) {
    Tell(&core, WorkerJoined{worker, "w" + std::to_string(worker), "cpu", 1});
  }
  Tell(&core, WorkerLeaving{1});
  expect("draining", "1");
  Tell(&core, WorkerLeft{1, "left"});
  expect("draining", "0");
  expect("lost", "0");

  Tell(&core, WorkerLeft{2, "killed"});
  Tell(&core, WorkerLeft{3, "killed"});
  expect("lost", "2");
  Tell(&core, WorkerJoined{4, "w2", "cpu", 1});
  expect("lost", "1");
  clock_.Advance(300'000);

  expect("lost", "0");
}

TEST_F(CoordinatorMetricsTest, WhenAWorkerWasLastHeardIsKnown) {
  Coordinator core({});
  Tell(&core, ShardJoined{9, "s1", 1, "127.0.0.1:1"});
  Tell(&core, JobAdded{record_, false});
  Tell(&core, WorkerJoined{1, "w1", "cpu", 1});
  clock_.Advance(5'000);
  metrics_.OnEvent(WorkRequested{1, {kJob, 1, 0}});
  clock_.Advance(9'000);
  metrics_.OnTick(core);

  EXPECT_THAT(registry_.Render(), HasSubstr("drover_worker_last_seen_timestamp_seconds{" +
                                            std::string(kLabel) + ",worker=\"w1\"} 1700001005\n"));
}

TEST_F(CoordinatorMetricsTest, LatenessIsAgainstTheMedianWorkerOfTheStep) {
  SetState(JobState::kRunning);
  for (const SessionId worker : {1, 2, 3, 4}) {
    metrics_.OnEvent(WorkerJoined{worker, "w" + std::to_string(worker), "cpu", 1});
  }
  const auto lateness = [&](int worker) {
    return "drover_worker_lateness_seconds{" + std::string(kLabel) + ",worker=\"w" +
           std::to_string(worker) + "\"} ";
  };
  const auto commit = [&] {
    ++record_.version;
    metrics_.OnAction(SaveCommit{record_, {}, LambStep()});
  };
  // Last leases at 0, 2 and 5 s; an earlier lease of the last one does not count. The step is
  // committed before the last result is heard of.
  metrics_.OnEvent(LeaseDone{1, {kJob, 1, 0}, 1, 0.1});
  metrics_.OnEvent(LeaseDone{3, {kJob, 1, 0}, 2, 0.1});
  clock_.Advance(2'000);
  metrics_.OnEvent(LeaseDone{2, {kJob, 1, 0}, 3, 0.1});
  commit();
  clock_.Advance(3'000);
  metrics_.OnEvent(LeaseDone{3, {kJob, 1, 0}, 4, 0.1});
  metrics_.OnEvent(LeaseDone{4, {kJob, 1, 7}, 5, 0.1});  // Of another step.

  // Of two in the next step, the earlier one; who had no lease was not late.
  metrics_.OnEvent(LeaseDone{1, {kJob, 1, 1}, 6, 0.1});
  clock_.Advance(1'000);
  metrics_.OnEvent(LeaseDone{2, {kJob, 1, 1}, 7, 0.1});
  commit();
  EXPECT_THAT(registry_.Render(), HasSubstr(lateness(1) + "-2\n"));
  EXPECT_THAT(registry_.Render(), HasSubstr(lateness(2) + "0\n"));
  EXPECT_THAT(registry_.Render(), HasSubstr(lateness(3) + "3\n"));
  EXPECT_THAT(registry_.Render(), Not(HasSubstr(lateness(4))));
  const std::map<std::string, double> late = {{"w1", -2}, {"w2", 0}, {"w3", 3}};
  EXPECT_EQ(metrics_.FiguresOf(kJob).lateness_seconds, late);
  EXPECT_TRUE(metrics_.FiguresOf(kJob + 1).lateness_seconds.empty());

  commit();
  EXPECT_THAT(registry_.Render(), HasSubstr(lateness(1) + "0\n"));
  EXPECT_THAT(registry_.Render(), HasSubstr(lateness(2) + "1\n"));
  EXPECT_THAT(registry_.Render(), HasSubstr(lateness(3) + "0\n"));
}

TEST_F(CoordinatorMetricsTest, DiscardedSamplesAreCountedByTheirReason) {
  using What = CountEvent::What;
  SetState(JobState::kRunning);
  metrics_.OnAction(CountEvent{kJob, What::kDiscardedExpired, 16});
  metrics_.OnAction(CountEvent{kJob, What::kDiscardedWorkerLost, 32});
  metrics_.OnAction(CountEvent{kJob, What::kDiscardedSkipped, 48});
  metrics_.OnAction(CountEvent{kJob, What::kDiscardedRolledBack, 64});

  const std::string text = registry_.Render();
  for (const auto& [reason, value] :
       {std::pair("lease_expired", "16"), std::pair("worker_lost", "32"),
        std::pair("step_skipped", "48"), std::pair("rolled_back", "64")}) {
    EXPECT_THAT(text, HasSubstr(Line("drover_samples_discarded_total",
                                     "reason=\"" + std::string(reason) + "\"", value)));
  }
}

TEST_F(CoordinatorMetricsTest, TheStoreAndTheShardsAreTimedInEachStep) {
  SetState(JobState::kRunning);
  metrics_.OnStoreWrite(CoordinatorObserver::StoreWrite::kCommit, 0.25);
  StepSummary step = LambStep();
  step.collect_seconds = 8;
  step.prepare_seconds = 4;
  step.ratio_seconds = 1;
  metrics_.OnAction(SaveCommit{record_, {}, step});
  clock_.Advance(2'000);
  const SendToShard stable{1, StableOrder{{kJob, 1, 0}}};
  metrics_.OnAction(stable);
  clock_.Advance(2'000);
  metrics_.OnAction(stable);  // To the next shard: the step has been timed.

  const std::string text = registry_.Render();
  const std::string sum = "drover_step_phase_duration_seconds_sum";
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"collect\"", "8")));
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"prepare\"", "4")));
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"ratio\"", "1")));
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"commit\"", "0.25")));
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"apply\"", "2")));
}

TEST_F(CoordinatorMetricsTest, ThePartsOfACheckpointAreTimed) {
  SetState(JobState::kRunning);
  const WriteCheckpointOrder write{{kJob, 1, 5}, "/staging"};
  metrics_.OnAction(SendToShard{1, write});
  clock_.Advance(1'000);
  metrics_.OnAction(SendToShard{2, write});
  clock_.Advance(3'000);
  CommitManifest manifest;
  manifest.record = record_;
  manifest.version = 5;
  metrics_.OnAction(manifest);
  clock_.Advance(2'000);
  ManifestCommitted committed;
  committed.job = kJob;
  committed.verify_seconds = 1.5;
  metrics_.OnEvent(committed);
  metrics_.OnAction(SaveCheckpoint{{5, 5, "/c", 1000, std::string(64, 'f'), {}}, kJob});

  const std::string text = registry_.Render();
  const std::string sum = "drover_checkpoint_duration_seconds_sum";
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"write\"", "4")));
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"verify\"", "1.5")));
  EXPECT_THAT(text, HasSubstr(Line(sum, "phase=\"commit\"", "0.5")));
}

TEST_F(CoordinatorMetricsTest, JobsAndShardsAreGaugesOfTheCore) {
  Coordinator core({});
  Tell(&core, ShardJoined{1, "s1", 1, "127.0.0.1:1"});
  Tell(&core, WorkerJoined{2, "w1", "cpu", 1});
  Tell(&core, JobAdded{record_, false});
  metrics_.OnTick(core);

  const std::string text = registry_.Render();

  EXPECT_THAT(text, HasSubstr("drover_jobs{state=\"starting\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("drover_jobs{state=\"failed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("drover_shards{state=\"restoring\"} 1\n"));  // Being placed.
  EXPECT_THAT(text, HasSubstr("drover_shards{state=\"ready\"} 0\n"));
}

TEST_F(CoordinatorMetricsTest, FiguresOfTwoJobsStandBesideEachOther) {
  Coordinator core({});
  Tell(&core, ShardJoined{9, "s1", 1, "127.0.0.1:1"});
  for (const SessionId worker : {1, 2, 3}) {
    Tell(&core, WorkerJoined{worker, "w" + std::to_string(worker), "cpu", 1});
  }
  record_.plan.max_workers = 1;
  Tell(&core, JobAdded{record_, false});
  JobRecord second = record_;
  second.id = 0xcd;
  second.plan.max_workers = 2;
  Tell(&core, JobAdded{second, false});
  Tell(&core, WorkerLeft{3, "killed"});
  metrics_.OnTick(core);

  const std::string text = registry_.Render();

  const auto workers = [](const std::string& state, const std::string& job) {
    return "drover_workers{state=\"" + state + "\",train_job=\"00000000000000" + job + "\"} ";
  };
  EXPECT_THAT(text, HasSubstr(workers("joining", "ab") + "1\n"));
  EXPECT_THAT(text, HasSubstr(workers("joining", "cd") + "1\n"));
  EXPECT_THAT(text, HasSubstr(workers("lost", "ab") + "0\n"));
  EXPECT_THAT(text, HasSubstr(workers("lost", "cd") + "1\n"));
  EXPECT_THAT(text, HasSubstr("drover_jobs{state=\"starting\"} 2\n"));
}

}  // namespace
}  // namespace drover
