#include "server/cli/live_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

using ::testing::ElementsAre;

Progress Running() {
  Progress progress(SampleJob());
  for (int step = 110; step < 118; ++step) progress.Apply(SampleStep(step, 0.5));
  return progress;
}

std::vector<std::string> Render(const Progress& progress, size_t width,
                                LiveContext context = {.now_unix_ms = 20'000}) {
  std::vector<std::string> lines;
  for (const StyledLine& line : LiveBlockLines(progress, context, width)) {
    lines.push_back(line.Render(width, false));
  }
  return lines;
}

TEST(LiveBlockTest, ShowsARunningJobInEightyColumns) {
  Progress progress = Running();
  v1::JobEvent checkpoint;
  checkpoint.mutable_checkpoint()->set_create_time_unix_ms(8'000);
  checkpoint.mutable_checkpoint()->set_weights_digest("7c41e09ab2d3ffff");
  progress.Apply(checkpoint);

  EXPECT_THAT(
      Render(progress, 79),
      ElementsAre("digits-lamb  RUNNING  step 118/200  [##############..........]   59 %  ETA 0:41",
                  "loss 0.1832  accuracy 0.947  lr 0.0171  |g| 0.82",
                  "trust ratio min 0.004  median 0.031  max 0.27",
                  "65.5k samples/s  workers 2  shards 2  checkpoint 12 s ago  weights "
                  "7c41e09ab2d3"));
}

TEST(LiveBlockTest, NoLineIsWiderThanTheTerminal) {
  v1::Job job = SampleJob();
  job.mutable_spec()->set_name(std::string(63, 'n'));
  job.mutable_spec()->set_steps(2147483648);
  job.set_workers_lost(12);
  job.mutable_last_eval()->set_accuracy(0.9);
  job.set_weights_digest(std::string(64, 'a'));
  Progress progress(job);
  for (int step = 0; step < 8; ++step) progress.Apply(SampleStep(2'000'000'000 + step, 0.5));

  for (const size_t width : {40U, 60U, 79U, 200U}) {
    for (const std::string& line : Render(progress, width)) EXPECT_LE(line.size(), width);
  }
}

TEST(LiveBlockTest, SaysWhyAJobWaits) {
  v1::Job job = SampleJob();
  job.set_state(v1::JOB_STATE_STARTING);
  job.set_workers(0);
  job.set_message("waiting for 2 shards");

  EXPECT_THAT(Render(Progress(job), 79),
              ElementsAre("digits-lamb  STARTING  step 0/200  "
                          "[...................................]    0 %",
                          "waiting for 2 shards", "- samples/s  workers 0  shards 2"));
}

TEST(LiveBlockTest, ShowsTheHeldOutAccuracyAndTrouble) {
  Progress progress = Running();
  v1::JobEvent event = SampleStep(118, 0.5);
  event.mutable_step()->set_clip_factor(0.9);
  event.mutable_step()->set_skipped(true);
  progress.Apply(event);
  v1::Job job = progress.job();
  job.mutable_last_eval()->set_accuracy(0.951);
  job.set_workers_lost(1);
  progress.Update(job);

  const std::vector<std::string> lines = Render(progress, 100);

  EXPECT_EQ(lines[1],
            "loss 0.1832  accuracy 0.947  eval 0.951  lr 0.0171  |g| 0.82  clipped 1  "
            "skipped 1");
  EXPECT_EQ(lines[3], "65.5k samples/s  workers 2 (1 lost)  shards 2");
}

TEST(LiveBlockTest, AnEndedJobHasNoWorkersToShow) {
  const std::vector<std::string> lines = Render(Progress(EndedJob()), 79);
  EXPECT_EQ(lines.back(), "- samples/s  weights dddddddddddd");
}

TEST(LiveBlockTest, SaysThatTheCoordinatorIsAway) {
  const std::vector<std::string> lines =
      Render(Running(), 79, {.now_unix_ms = 0, .reconnecting = true});
  EXPECT_THAT(lines[0], testing::HasSubstr("  RECONNECTING  "));
}

TEST(LiveBlockTest, ARuleWithoutRatiosHasThreeLines) {
  Progress progress(SampleJob());
  v1::JobEvent event = SampleStep(0, 1);
  event.mutable_step()->clear_trust_ratio_max();
  progress.Apply(event);

  EXPECT_EQ(Render(progress, 79).size(), 3U);
}

TEST(ProgressLineTest, IsKeyEqualsValue) {
  EXPECT_EQ(ProgressLine(Running()),
            "job=digits-lamb state=RUNNING step=118 steps=200 loss=0.1832 accuracy=0.947 "
            "learning_rate=0.0171 samples_per_second=65536 eta_s=41 workers=2 shards=2");
  v1::Job waiting = SampleJob();
  waiting.set_state(v1::JOB_STATE_STARTING);
  waiting.set_message("waiting for 2 shards");
  EXPECT_EQ(ProgressLine(Progress(waiting)),
            "job=digits-lamb state=STARTING step=0 steps=200 workers=2 shards=2 "
            "message=\"waiting for 2 shards\"");
}

TEST(EventLineTest, TellsNewsOnly) {
  v1::JobEvent event = SampleStep(3, 1);
  EXPECT_EQ(EventLine(event), "");
  event.mutable_step()->set_skipped(true);
  event.mutable_step()->set_skip_reason("leaf 3: NaN in w\n");
  EXPECT_EQ(EventLine(event), "event=step_skipped step=3 reason=\"leaf 3: NaN in w\\x0a\"");
  event.mutable_eval()->set_version(40);
  event.mutable_eval()->set_accuracy(0.9512);
  event.mutable_eval()->set_loss(0.17);
  event.mutable_eval()->set_samples(10000);
  EXPECT_EQ(EventLine(event), "event=evaluation step=40 accuracy=0.9512 loss=0.17 samples=10000");
  event.set_state(v1::JOB_STATE_RUNNING);
  EXPECT_EQ(EventLine(event), "event=state state=RUNNING");
  event.mutable_checkpoint()->set_id("a7-50");
  event.mutable_checkpoint()->set_version(50);
  event.mutable_checkpoint()->set_bytes(9);
  event.mutable_checkpoint()->set_weights_digest("d");
  EXPECT_EQ(EventLine(event), "event=checkpoint id=a7-50 step=50 bytes=9 weights=d");
  event.mutable_log()->set_level("info");
  EXPECT_EQ(EventLine(event), "");
  event.mutable_log()->set_level("warning");
  event.mutable_log()->set_task("worker/1");
  event.mutable_log()->set_text("lost");
  EXPECT_EQ(EventLine(event), "event=log level=warning task=worker/1 text=\"lost\"");
  EXPECT_EQ(EventLine(v1::JobEvent()), "");
}

}  // namespace
}  // namespace drover
