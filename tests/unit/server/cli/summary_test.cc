#include "server/cli/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

TEST(SummaryTest, IsAPageForPeople) {
  RunSummary summary = SummaryOf(EndedJob());
  summary.checkpoint_path = "/state/checkpoints/200";

  EXPECT_EQ(FormatSummary(summary, false),
            "SUCCEEDED  digits-lamb  (00000000000000a7)\n"
            "  accuracy      0.9731 of 10,000 held-out samples, target 0.97 met\n"
            "  loss          0.1832 at the last step, 0.0712 held out\n"
            "  steps         200 of 200, 6,553,600 samples\n"
            "  time          1:04 (102k samples/s)\n"
            "  exactly once  6,400 of 6,400 leaves, 51,200 of 51,200 leaf chunks\n"
            "                12 duplicates recognised, 0 chunks refused\n"
            "  failures      0 workers lost, 0 shards restarted\n"
            "  weights       " +
                std::string(64, 'd') +
                "\n"
                "                the same bits with any number of workers and shards\n"
                "  checkpoint    /state/checkpoints/200\n");
}

TEST(SummaryTest, SaysWhyAJobFailed) {
  v1::Job job = EndedJob();
  job.set_state(v1::JOB_STATE_FAILED);
  job.set_reason("TARGET_MISSED");
  job.set_message("accuracy 0.5 is below 0.97");
  job.mutable_last_eval()->set_accuracy(0.5);

  const std::string page = FormatSummary(SummaryOf(job), false);

  EXPECT_THAT(page, HasSubstr("FAILED  digits-lamb"));
  EXPECT_THAT(page, HasSubstr("because       TARGET_MISSED: accuracy 0.5 is below 0.97\n"));
  EXPECT_THAT(page, HasSubstr("target 0.97 missed"));
}

TEST(SummaryTest, AJobThatPausesHasMissedNothing) {
  v1::Job job = EndedJob();
  job.set_state(v1::JOB_STATE_SUSPENDED);
  job.mutable_last_eval()->set_accuracy(0.5);

  EXPECT_THAT(FormatSummary(SummaryOf(job), false),
              HasSubstr("accuracy      0.5000 of 10,000 held-out samples\n"));
}

TEST(SummaryTest, JsonHasTheDocumentedKeys) {
  RunSummary summary = SummaryOf(EndedJob());
  summary.workers_lost = 3;

  const nlohmann::json json = nlohmann::json::parse(SummaryToJson(summary));

  EXPECT_EQ(json, nlohmann::json::parse(R"({
    "job": "00000000000000a7", "name": "digits-lamb", "state": "SUCCEEDED", "reason": null,
    "message": null, "steps": 200, "samples": 6553600, "samples_per_second": 102400.0,
    "seconds": 64.0, "final_loss": 0.1832, "final_accuracy": 0.9731, "evaluation_loss": 0.0712,
    "masked_loss": null,
    "weights_digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "ledger": {"leaves_expected": 6400, "leaves_counted": 6400, "leaf_chunks_expected": 51200,
               "leaf_chunks_applied": 51200, "duplicates": 12, "refused": 0},
    "workers_lost": 3, "shards_restarted": 0, "checkpoint": null})"));
}

TEST(SummaryTest, JsonHasNullForWhatNeverWas) {
  v1::Job job = SampleJob();
  job.mutable_last_step()->set_loss(std::numeric_limits<double>::quiet_NaN());

  const nlohmann::json json = nlohmann::json::parse(SummaryToJson(SummaryOf(job)));

  for (const char* key : {"samples_per_second", "seconds", "final_loss", "final_accuracy",
                          "evaluation_loss", "masked_loss", "weights_digest", "checkpoint"}) {
    EXPECT_TRUE(json.at(key).is_null()) << key;
  }
}

}  // namespace
}  // namespace drover
