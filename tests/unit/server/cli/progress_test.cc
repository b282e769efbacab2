#include "server/cli/progress.h"

#include <gtest/gtest.h>

#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

TEST(ProgressTest, EtaIsStepsLeftTimesTheMedianStep) {
  Progress progress(SampleJob());
  for (int step = 0; step < 4; ++step) progress.Apply(SampleStep(step, 0.5));
  EXPECT_EQ(progress.EtaSeconds(), std::nullopt);  // Too few to tell.

  progress.Apply(SampleStep(4, 30));  // One straggler does not matter.

  EXPECT_EQ(progress.EtaSeconds(), 195 * 0.5);
}

TEST(ProgressTest, OnlyTheLastFiftyStepsCount) {
  Progress progress(SampleJob());
  for (int step = 0; step < 60; ++step) progress.Apply(SampleStep(step, 9));
  for (int step = 60; step < 110; ++step) progress.Apply(SampleStep(step, 1));

  EXPECT_EQ(progress.EtaSeconds(), 90.0);
}

TEST(ProgressTest, SpeedIsOverTheLastSteps) {
  Progress progress(SampleJob());
  EXPECT_EQ(progress.SamplesPerSecond(), std::nullopt);

  progress.Apply(SampleStep(0, 3));
  progress.Apply(SampleStep(1, 1));

  EXPECT_EQ(progress.SamplesPerSecond(), 2 * 32768 / 4.0);
}

TEST(ProgressTest, EventsBringTheJobUpToDate) {
  Progress progress(SampleJob());
  progress.Apply(SampleStep(117, 0.3));
  v1::JobEvent state;
  state.set_sequence(119);
  state.set_state(v1::JOB_STATE_RECOVERING);
  progress.Apply(state);
  v1::JobEvent eval;
  eval.mutable_eval()->set_accuracy(0.9);
  progress.Apply(eval);
  v1::JobEvent checkpoint;
  checkpoint.mutable_checkpoint()->set_create_time_unix_ms(5000);
  checkpoint.mutable_checkpoint()->set_weights_digest("abc");
  progress.Apply(checkpoint);

  EXPECT_EQ(progress.job().step(), 118);
  EXPECT_EQ(progress.fraction(), 118.0 / 200);
  EXPECT_EQ(progress.job().state(), v1::JOB_STATE_RECOVERING);
  EXPECT_EQ(progress.job().last_eval().accuracy(), 0.9);
  EXPECT_EQ(progress.last_checkpoint_unix_ms(), 5000);
  EXPECT_EQ(progress.job().weights_digest(), "abc");
  EXPECT_EQ(progress.last_sequence(), 119);
}

TEST(ProgressTest, CountsClippedAndSkippedSteps) {
  Progress progress(SampleJob());
  v1::JobEvent clipped = SampleStep(0, 1);
  clipped.mutable_step()->set_clip_factor(0.5);
  v1::JobEvent skipped = SampleStep(1, 1);
  skipped.mutable_step()->set_skipped(true);
  skipped.mutable_step()->set_clip_factor(0);
  progress.Apply(clipped);
  progress.Apply(skipped);

  EXPECT_EQ(progress.clipped_steps(), 1);
  EXPECT_EQ(progress.skipped_steps(), 1);
}

TEST(ProgressTest, AJobInAnEventReplacesTheRest) {
  Progress progress(SampleJob());
  v1::JobEvent event = SampleStep(3, 1);
  *event.mutable_job() = SampleJob();
  event.mutable_job()->set_workers(7);
  event.mutable_job()->set_step(50);

  progress.Apply(event);

  EXPECT_EQ(progress.job().workers(), 7U);
  EXPECT_EQ(progress.job().step(), 50);
}

TEST(ProgressTest, AJobWithoutStepsHasNoProgress) {
  Progress progress{v1::Job()};
  EXPECT_EQ(progress.fraction(), 0);
}

}  // namespace
}  // namespace drover
